"""Reads which of the fields that most calls lack they carry, and digests of those by which two records are compared.

Fields are compared as they were sent, so this comes before anything is redacted or renamed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from operator import attrgetter, is_not
from typing import Any, Final, NamedTuple, cast

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from aftercall.vocabulary import FILLED_ONCE, LISTS_NO_TOOLS
from connectors.batch import I64, U32, U64, Bools
from connectors.decode.attempts import make_plain
from connectors.decode.facets import failed, languages, tools
from connectors.decode.structs import CallRecord
from connectors.decode.tool_codes import ToolCodes
from connectors.decode.tool_lists import ToolLists
from connectors.decode.tools import times_are_sure

BITS: Final = {name: 1 << place for place, name in enumerate(FILLED_ONCE)}
"""Of `Calls.filled`, by field."""
_COUNTED: Final = ("latency_ms", "cost_usd", "tokens")
"""Those that are columns of their own."""
_COMMON: Final = ("session_id", "attrs")
_RARE: Final = ("segment", "checks", *(name for name in FILLED_ONCE if name not in {*_COUNTED, *_COMMON}))
_NOTHING: Final = (None,) * len(_RARE)
_rare = attrgetter(*_RARE)
_session, _attrs = attrgetter("session_id"), attrgetter("attrs")

_EMPTY_IS_ABSENT: Final = ("attrs", "attempts")
_TOOLS: Final = "tool_calls"
"""Filled by a list that has something in it: how many there were does not say what they did."""
_Deciding = tuple[str | None, str | None]


class Contents(NamedTuple):
    """Columns of `connectors.batch.Calls`, but that `digest` lacks names, `filled` what is common, `facets` tokens.

    Attributes:
        sure: the names of attempts, plain now, and the times of tool calls can be accepted.
        path: see `ToolCodes`; 0 without these.
    """

    digest: U64
    segment: U32
    session_key: U64
    unit: U64
    error: U32
    filled: U32
    facets: U32
    sure: Bools
    path: I64


class _OfTools(NamedTuple):
    """The same of `tool_calls`."""

    filled: U32
    facets: U32
    sure: Bools
    path: I64


class _Digests(NamedTuple):
    both: int
    segment: int
    error: int


class ContentsReader:
    """Reads records piece by piece, and remembers what it has digested."""

    def __init__(self, *, keep_payloads: bool, tools: ToolCodes | None = None) -> None:
        """Without `keep_payloads`, `read` removes `input` and `output` from the records; `tools` number their paths."""
        self._keep_payloads, self._tools = keep_payloads, tools
        self._known: dict[_Deciding, _Digests] = {}

    def read(self, records: list[CallRecord]) -> Contents:
        """The columns of one piece."""
        count, rare = len(records), list(map(_rare, records))
        sessions, attrs = list(map(_session, records)), list(map(_attrs, records))
        filled = _bits("session_id", sessions) | _bits("attrs", attrs)
        session, facets = _hashes(sessions), languages(attrs)
        if rare.count(_NOTHING) == count:
            nothing, none = self._digests(None, None), np.zeros(count, np.uint32)
            digest, sure = np.full(count, nothing.both, np.uint64), np.ones(count, np.bool_)
            return Contents(digest, none, session, session, none, filled, facets, sure, np.zeros(count, np.int64))
        columns = dict(zip(_RARE, zip(*rare, strict=True), strict=True))
        for name in BITS.keys() & columns.keys() - {_TOOLS}:
            filled |= _bits(name, columns[name])
        used = self._of_tools(columns[_TOOLS])
        filled |= _judged(columns["checks"]) | used.filled
        if not self._keep_payloads:
            forget_payloads(records, filled)
        sure = used.sure
        for i in np.flatnonzero(filled & BITS["attempts"]).tolist():
            sure[i] &= make_plain(records[i], columns["attempts"][i])
        facets |= used.facets
        digest, segment, error = self._compared(columns["segment"], columns["error"])
        unit = np.where(session != 0, session, _hashes([*columns["parent_call_id"]]))
        return Contents(digest, segment, session, unit, error, filled, facets, sure, used.path)

    def _of_tools(self, given: Sequence[Any]) -> _OfTools:
        """Their tool calls are laid end to end once, for all who read them."""
        none, path = np.zeros(len(given), np.uint32), np.zeros(len(given), np.int64)
        if given.count(None) == len(given):
            return _OfTools(none, none, np.ones(len(given), np.bool_), path)
        lists = ToolLists.of(given)
        if self._tools is None:
            has_failed = failed(lists)
        else:
            path, has_failed = self._tools.read(lists)
        return _OfTools(_listed(lists), tools(lists, has_failed), times_are_sure(lists), path)

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


def folded(digest: U64) -> U32:
    """Half of 64-bit digests, as the join stores them: enough to tell apart what records of one id say."""
    return (digest ^ (digest >> np.uint64(32))).astype(np.uint32)


def _digest(text: str | None) -> int:
    if text is None:
        return 0
    digest = xxh3_64_intdigest(text.encode())
    return (digest ^ (digest >> 32)) & 0xFFFFFFFF


def _hashes(texts: list[str | None]) -> U64:
    """Of texts that are mostly all there, or all absent; 0 where absent."""
    missing = texts.count(None)
    if missing == len(texts):
        return np.zeros(len(texts), np.uint64)
    if missing:
        texts = ["" if text is None else text for text in texts]
    hashes = np.fromiter(map(xxh3_64_intdigest, map(str.encode, cast("list[str]", texts))), np.uint64, len(texts))
    hashes = np.maximum(hashes, np.uint64(1))
    if missing:
        hashes[[not text for text in texts]] = 0
    return hashes


def _bits(name: str, column: Sequence[Any]) -> U32:
    """The bit of a field, for each call that has it; empty `attrs` and `attempts` are absent."""
    bit = np.uint32(BITS[name])
    if column.count(None) == len(column):
        return np.zeros(len(column), np.uint32)
    return np.fromiter(_given(name, column), np.bool_, len(column)) * bit


def _judged(column: Sequence[Any]) -> U32:
    """The bits of the texts, for each call with `checks`: see `FILLED_ONCE`."""
    if column.count(None) == len(column):
        return np.zeros(len(column), np.uint32)
    return np.fromiter(map(bool, column), np.bool_, len(column)) * np.uint32(BITS["input"] | BITS["output"])


def _listed(lists: ToolLists) -> U32:
    """The bit of each call with a list of tool calls, or of each that says how many there were, or that none was."""
    some, said = np.uint32(BITS[_TOOLS]), np.uint32(LISTS_NO_TOOLS)
    return np.where(lists.counts > 0, some, np.where(lists.absent, np.uint32(0), said))


def _given(name: str, column: Sequence[Any]) -> Iterator[bool]:
    return map(bool, column) if name in _EMPTY_IS_ABSENT else map(is_not, column, repeat(None))


def forget_payloads(records: Sequence[CallRecord], filled: U32) -> None:
    """Drop `input` and `output` of calls, whose bits say where there are any."""
    for name in ("input", "output"):
        for i in np.flatnonzero(filled & BITS[name]).tolist():
            msgspec.structs.force_setattr(records[i], name, None)
