"""Bytes as Bytewax stores them, a pickle of `bytes`, taken apart and put together without `pickle`.

Bytewax unpickles whatever lies in its store, so anything else must be found before it does.
"""

from __future__ import annotations

from typing import Final

_BEGIN: Final = b"\x80\x04"
_FRAME: Final = 0x95
_LENGTHS: Final = {ord("C"): 1, ord("B"): 4, 0x8E: 8}
"""By opcode (SHORT_BINBYTES, BINBYTES, BINBYTES8), how many bytes have the length."""
_ENDS: Final = (b"\x94.", b".")


def taken_out(stored: bytes) -> bytes | None:
    """The bytes in a pickle of nothing but bytes; None for any other pickle, and for what is none."""
    at = len(_BEGIN)
    if not stored.startswith(_BEGIN) or len(stored) < at + 3:
        return None
    if stored[at] == _FRAME:
        begin = at + 9
        if int.from_bytes(stored[at + 1 : begin], "little") != len(stored) - begin or len(stored) < begin + 3:
            return None
        at = begin
    size = _LENGTHS.get(stored[at])
    if size is None:
        return None
    begin = at + 1 + size
    end = begin + int.from_bytes(stored[at + 1 : begin], "little")
    return stored[begin:end] if stored[end:] in _ENDS else None


def put_in(data: bytes) -> bytes:
    """The pickle of bytes."""
    return _BEGIN + b"\x8e" + len(data).to_bytes(8, "little") + data + b"."
