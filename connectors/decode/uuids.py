"""Converts UUIDs to numbers, so that later steps need not read their text again."""

from __future__ import annotations

from binascii import unhexlify
from typing import Final

import numpy as np

from connectors.batch import U64

_LENGTH: Final = 36
_SEPARATORS: Final = [8, 13, 18, 23, _LENGTH]
_EXPECTED: Final = np.frombuffer(b"----\n", np.uint8)


def uuid_words(ids: list[str]) -> U64:
    """16 bytes of each id as two big-endian words, shape (n, 2), if all are canonical UUIDs; else zeros."""
    text = "\n".join(ids)
    nothing = np.zeros((len(ids), 2), np.uint64)
    if len(text) + 1 != len(ids) * (_LENGTH + 1) or not text.isascii() or text != text.lower():
        return nothing
    lines = f"{text}\n".encode()
    separators = np.frombuffer(lines, np.uint8).reshape(len(ids), _LENGTH + 1)[:, _SEPARATORS]
    if not (separators == _EXPECTED).all():
        return nothing
    try:
        # The rest must be hexadecimal, so there is no other separator, and each line is one id.
        words = np.frombuffer(unhexlify(lines.translate(None, b"-\n")), ">u8").reshape(len(ids), 2)
    except ValueError:
        return nothing
    return words.astype(np.uint64)
