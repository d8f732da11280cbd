"""Which classes and functions a pickle names by their path, read from its opcodes: nothing is loaded."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import Any

ALLOWED = ("numpy", "river", "builtins", "datetime")
"""Packages that a stored state may name. River's detectors are kept beside river's version, times of alerts as such."""
_TEXTS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}
_BYTES = {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_GET, _PUT = {"BINGET", "LONG_BINGET", "GET"}, {"BINPUT", "LONG_BINPUT", "PUT"}
_WITHOUT_NAMES = {"MEMOIZE", "FRAME", "PROTO", *_PUT}
_UNKNOWN = "?"


def foreign(data: bytes) -> set[str]:
    """Names in a pickle, and in pickles that it holds as bytes, that are of none of the `ALLOWED` packages."""
    return {name for name in names(data) if name.split(".")[0] not in ALLOWED}


def names(data: bytes) -> set[str]:
    """All names as `module.name`; a part that is not known is `?`."""
    return set(_names(data))


def _names(data: bytes) -> Iterator[str]:
    last: tuple[str | None, str | None] = (None, None)
    memo: dict[int, str | None] = {}
    for opcode, given, _ in pickletools.genops(data):
        argument: Any = given
        match opcode.name:
            case "GLOBAL" | "INST":
                yield str(argument).replace(" ", ".", 1)
            case "STACK_GLOBAL":
                yield ".".join(part or _UNKNOWN for part in last)
            case "EXT1" | "EXT2" | "EXT4" | "PERSID" | "BINPERSID":
                yield _UNKNOWN
            case name if name in _BYTES and _is_pickle(bytes(argument)):
                yield from _names(bytes(argument))
        match opcode.name:
            case "MEMOIZE":
                memo[len(memo)] = last[1]
            case name if name in _PUT:
                memo[int(argument)] = last[1]
            case name if name in _GET:
                last = (last[1], memo[int(argument)])
            case name if name not in _WITHOUT_NAMES:
                last = (last[1], str(argument) if name in _TEXTS else None)


def _is_pickle(data: bytes) -> bool:
    """Whether it is one from its first byte to its last; bytes of an array may begin like one."""
    if data[:1] != b"\x80":
        return False
    try:
        *_, (last, _, at) = pickletools.genops(data)
    except (ValueError, IndexError, KeyError, UnicodeDecodeError):
        return False
    return last.name == "STOP" and at == len(data) - 1
