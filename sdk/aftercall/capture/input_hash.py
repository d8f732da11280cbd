"""Hashes what a call was given, so that equal inputs are seen without being sent; runs on the sender thread."""

from __future__ import annotations

import hmac
import json
import os
from functools import cache
from typing import Any, Final

from aftercall.capture.inputs import Input, Opaque

_DIGITS: Final = 16


def input_hash(given: Input) -> str | None:
    """Hash by HMAC-SHA256, 16 hex digits; None where the input was not plain, empty, or too large to be held.

    The key is `AFTERCALL_HASH_KEY`; without it each process has its own, so that hashes compare within one process.
    Without the key an input cannot be found by trying.
    """
    if not given.whole or not given.values:
        return None
    text = json.dumps(given.values, sort_keys=True, separators=(",", ":"))
    return hmac.digest(_key(), text.encode("utf-8", "surrogatepass"), "sha256").hex()[:_DIGITS]


def input_text(given: Input) -> str | None:
    """The input as text: the only text that there is, else JSON; opaque arguments by the name of their class."""
    plain = [value for value in given.values if not isinstance(value, Opaque)]
    if len(plain) == 1 and isinstance(plain[0], str):
        return plain[0]
    return json.dumps(given.values, ensure_ascii=False, default=_shown) if plain else None


def _shown(value: Any) -> str:
    return f"<{value.name}>" if isinstance(value, Opaque) else f"<{type(value).__name__}>"


@cache
def _key() -> bytes:
    return os.environ.get("AFTERCALL_HASH_KEY", "").encode() or os.urandom(32)
