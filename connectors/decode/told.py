"""Reads which of the fields that most calls lack they carry, and digests of those by which two records are compared.

Fields are compared as they were sent, so this comes before anything is redacted or renamed.
"""

from __future__ import annotations

from itertools import repeat
from operator import attrgetter, is_not
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from aftercall.vocabulary import FILLED_ONCE
from connectors.batch import U32, U64, Bools
from connectors.decode.attempts import make_plain
from connectors.decode.structs import CallRecord
from connectors.decode.tools import times_are_sure

BITS: Final = {name: 1 << place for place, name in enumerate(FILLED_ONCE)}
"""Of `Calls.filled`, by field."""
_COUNTED: Final = ("latency_ms", "cost_usd", "tokens")
"""Those that are columns of their own."""
_RARE: Final = ("segment", *(name for name in FILLED_ONCE if name not in _COUNTED))
_EMPTY_IS_ABSENT: Final = ("attrs", "attempts")
_NOTHING: Final = (None,) * len(_RARE)
_rare = attrgetter(*_RARE)

_Deciding = tuple[str | None, str | None]


class Told(NamedTuple):
    """Columns of `connectors.batch.Calls`, but that `digest` has no names and `filled` only what is rare.

    Attributes:
        sure: the names of attempts, plain now, and the times of tool calls can be accepted.
    """

    digest: U64
    segment: U32
    session: U32
    error: U32
    filled: U32
    sure: Bools


class _Digests(NamedTuple):
    both: int
    segment: int
    error: int


class Teller:
    """Reads records piece by piece, and remembers what it has digested."""

    def __init__(self, *, keep_payloads: bool) -> None:
        """Without `keep_payloads`, `read` removes `input` and `output` from the records."""
        self._keep_payloads = keep_payloads
        self._known: dict[_Deciding, _Digests] = {}

    def read(self, records: list[CallRecord]) -> Told:
        """The columns of one piece."""
        count, rare = len(records), list(map(_rare, records))
        none, sure = np.zeros(count, np.uint32), np.ones(count, np.bool_)
        if rare.count(_NOTHING) == count:
            nothing = self._digests(None, None)
            return Told(np.full(count, nothing.both, np.uint64), none, none, none, none, sure)
        columns: dict[str, tuple[Any, ...]] = dict(zip(_RARE, zip(*rare, strict=True), strict=True))
        given = {name: _is_given(name, column) for name, column in columns.items() if column.count(None) < count}
        filled = none.copy()
        for name in given.keys() & BITS.keys():
            filled |= given[name] * np.uint32(BITS[name])
        if not self._keep_payloads:
            _forget_payloads(records, given)
        for i in np.flatnonzero(given.get("attempts", False)).tolist():
            sure[i] = make_plain(records[i], columns["attempts"][i])
        if "tool_calls" in given:
            sure &= times_are_sure(columns["tool_calls"])
        session = np.fromiter(map(_digest, columns["session_id"]), np.uint32, count) if "session_id" in given else none
        digest, segment, error = self._compared(columns["segment"], columns["error"])
        return Told(digest, segment, session, error, filled, sure)

    def _compared(self, segments: tuple[str | None, ...], errors: tuple[str | None, ...]) -> tuple[U64, U32, U32]:
        found = list(map(self._digests, segments, errors))
        both, segment, error = zip(*found, strict=True)
        return np.array(both, np.uint64), np.array(segment, np.uint32), np.array(error, np.uint32)

    def _digests(self, segment: str | None, error: str | None) -> _Digests:
        deciding = segment, error
        known = self._known.get(deciding)
        if known is None:
            both = xxh3_64_intdigest(msgspec.json.encode(deciding))
            known = self._known[deciding] = _Digests(both, _digest(segment), _digest(error))
        return known


def folded(digest: int) -> int:
    """Half of a 64-bit digest, as the join stores it: enough to tell apart what records of one id say."""
    return (digest ^ (digest >> 32)) & 0xFFFFFFFF


def _digest(text: str | None) -> int:
    return 0 if text is None else folded(xxh3_64_intdigest(text.encode()))


def _is_given(name: str, column: tuple[Any, ...]) -> Bools:
    """Which calls have a field, of a column in which not all lack it."""
    present = map(bool, column) if name in _EMPTY_IS_ABSENT else map(is_not, column, repeat(None))
    return np.fromiter(present, np.bool_, len(column))


def _forget_payloads(records: list[CallRecord], given: dict[str, Bools]) -> None:
    for name in given.keys() & {"input", "output"}:
        for i in np.flatnonzero(given[name]).tolist():
            msgspec.structs.force_setattr(records[i], name, None)
