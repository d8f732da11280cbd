"""Reads the pickles that aftercall stored before its states were envelopes, without executing anything in them.

A pickle is a program. This interprets the few instructions that those states use, and makes plain values only:
numbers, texts, containers, moments and arrays. An object of river becomes a mapping of its `class`, `args` and `state`.
Any other name that a pickle wants to call is refused.
"""

from __future__ import annotations

import pickletools
import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple

import numpy as np

from models.state import StateError

Plain = Any
_NUMBERS: Final = re.compile("[biuf][1248]")
"""numpy's parser of types is not asked about anything else: it evaluates some texts."""


class _Name(NamedTuple):
    text: str


class _RawArray:
    """An array of which only the kind is known: its `BUILD` follows."""

    def __init__(self) -> None:
        self.places: list[int] = []
        """Where the memo has it."""


def read_old(data: bytes) -> Plain:
    """The plain value in a pickle. Sets become sorted lists.

    Raises:
        StateError: it is damaged, or names something that a state of aftercall never had.
    """
    try:
        return _Machine().run(data)
    except StateError:
        raise
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as wrong:
        raise StateError(f"an old state must be a whole pickle; it is not ({type(wrong).__name__})") from wrong


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Plain:
        """Carry out all instructions."""
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return _plain(self._stack.pop())
            self._step(opcode.name, argument)
        raise StateError("an old state must be a whole pickle; it has no end")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _ARGUMENTS:
            stack.append(argument)
        elif name in _PUTS:
            place = len(self._memo) if argument is None else argument
            self._memo[place] = stack[-1]
            if isinstance(stack[-1], _RawArray):
                stack[-1].places.append(place)
        elif name in _GETS:
            stack.append(self._memo[argument])
        elif name not in _IGNORED:
            self._container(name, argument)

    def _container(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "MARK":
                self._marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(self._marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND":
                value = stack.pop()
                stack[-1].append(value)
            case "APPENDS":
                values = self._marked()
                stack[-1].extend(values)
            case "ADDITEMS":
                values = self._marked()
                stack[-1].update(values)
            case "SETITEM":
                key, value = stack[-2:]
                del stack[-2:]
                stack[-1][key] = value
            case "SETITEMS":
                values = self._marked()
                stack[-1].update(zip(values[::2], values[1::2], strict=True))
            case _:
                self._object(name, argument)

    def _object(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "GLOBAL":
                stack.append(_Name(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                module, text = stack[-2:]
                stack[-2:] = [_Name(f"{module}.{text}")]
            case "REDUCE" | "NEWOBJ":
                called, arguments = stack[-2:]
                stack[-2:] = [_made(called, arguments)]
            case "BUILD":
                made, state = stack[-2:]
                stack[-2:] = [self._built(made, state)]
            case _:
                raise StateError(f"an old state must hold plain values; it has the instruction {name}")

    def _built(self, made: Any, state: Any) -> Any:
        if isinstance(made, dict):
            made["state"] = state
            return made
        if isinstance(made, np.dtype):
            if state[1] not in {"<", "|"}:
                raise StateError(f"an old state must hold numbers of this machine's order; it has {state[1]!r}")
            return made
        if not isinstance(made, _RawArray):
            raise StateError(f"an old state must hold plain values; it has a {type(made).__name__}")
        _, shape, dtype, fortran, raw = state
        array = _array(raw, dtype, shape, "F" if fortran else "C")
        self._memo.update(dict.fromkeys(made.places, array))
        return array

    def _marked(self) -> list[Any]:
        at = self._marks.pop()
        values = self._stack[at:]
        del self._stack[at:]
        return values


_CONSTANTS: Final[dict[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_ARGUMENTS: Final = frozenset(
    (
        *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
_PUTS: Final = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT"})
_GETS: Final = frozenset({"BINGET", "LONG_BINGET"})
_IGNORED: Final = frozenset({"PROTO", "FRAME"})


def _made(called: Any, arguments: tuple[Any, ...]) -> Any:
    name = called.text if isinstance(called, _Name) else f"a {type(called).__name__}"
    if name.startswith("river."):
        return {"class": name, "args": arguments, "state": None}
    if name not in _CALLS:
        raise StateError(f"an old state must hold plain values; it wants to call {name}")
    return _CALLS[name](*arguments)


def _dtype(name: str, *_: object) -> np.dtype[Any]:
    if not _NUMBERS.fullmatch(name):
        raise StateError(f"an old state must hold numbers; it has an array of {name!r}")
    return np.dtype(name)


def _array(raw: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: str = "C") -> Any:
    in_order: Any = order
    return np.frombuffer(bytes(raw), dtype).reshape(shape, order=in_order).copy(order="K")


def _moment(packed: bytes, zone: timezone) -> datetime:
    return datetime(packed, zone)  # type: ignore[arg-type,call-arg] # noqa: DTZ001 - how `datetime` is pickled


_CALLS: Final[dict[str, Callable[..., Any]]] = {
    "numpy.dtype": _dtype,
    "datetime.datetime": _moment,
    "datetime.timezone": timezone,
    "datetime.timedelta": timedelta,
    "builtins.getattr": lambda *_: None,  # a bound method of a detector, which makes it itself
    **{
        f"numpy.{core}.{name}": call
        for core in ("core", "_core")
        for name, call in (
            ("numeric._frombuffer", _array),
            ("multiarray._reconstruct", lambda *_: _RawArray()),
            ("multiarray.scalar", lambda dtype, raw: np.frombuffer(raw, dtype)[0].item()),
        )
    },
}


def _plain(value: Any) -> Plain:
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, _Name | _RawArray):
        raise StateError(f"an old state must hold plain values; it has {value!r}")
    if isinstance(value, tuple):
        return tuple(_plain(part) for part in value)
    return bytes(value) if isinstance(value, bytearray) else value
