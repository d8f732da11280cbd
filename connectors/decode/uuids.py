"""Converts UUIDs to numbers, so that later steps need not read their text again, and spells them in one way."""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np

from connectors.batch import U64

_LENGTH: Final = 36
_SEPARATORS: Final = [8, 13, 18, 23, _LENGTH]
_EXPECTED: Final = np.frombuffer(b"----\n", np.uint8)

_HEX: Final = re.compile("[0-9a-f]{32}")
_URN: Final = "urn:uuid:"
BESIDE: Final = "-{} \t\u00a0\u00ad\u200b\u200c\u200d\u2060\ufeff"
"""Characters in which two spellings of one id may differ: dashes, braces, blanks, and what cannot be seen."""
_WITHOUT: Final = str.maketrans("", "", BESIDE)


def uuid_form(text: str) -> str:
    """An id in the canonical form of a UUID, where it is one that was spelled differently; any other id as it is.

    >>> uuid_form("{0199B0C4-7D1E-7A21-9F00-000000000001}"), uuid_form("call 1")
    ('0199b0c4-7d1e-7a21-9f00-000000000001', 'call 1')
    """
    shown = text.translate(_WITHOUT)
    digits = shown.lower().removeprefix(_URN)
    if not shown.isascii() or _HEX.fullmatch(digits) is None:
        return text
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def spell(records: Sequence[Any], names: Sequence[str]) -> None:
    """Bring ids of records into the form of UUIDs; `names`: of their fields."""
    for name in names:
        for record, text in zip(records, map(attrgetter(name), records), strict=True):
            if text is not None and (spelled := uuid_form(text)) != text:
                msgspec.structs.force_setattr(record, name, spelled)


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
