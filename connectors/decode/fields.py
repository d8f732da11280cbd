"""Turns structs into columns, field by field, one piece of a batch at a time.

A piece is small enough for the processor's cache to hold its records until every field has been read.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from operator import attrgetter
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from aftercall.events import RESERVED_PREFIXES
from aftercall.times import NEVER
from aftercall.vocabulary import RESERVED_SOURCES
from connectors.batch import F64, I8, I32, I64, U32, U64, Bools
from connectors.decode.contents import BITS, ContentsReader, folded
from connectors.decode.facets import with_tokens
from connectors.decode.renaming import Group, Renamer, Renaming
from connectors.decode.structs import DEFAULT_ACTION, DEFAULT_CONFIG, CallRecord, OutcomeRecord
from connectors.decode.subjects import hashes_of, subjects_of
from connectors.decode.times import parse_times
from connectors.decode.tool_codes import ToolCodes
from connectors.decode.uuids import uuid_words

_NANO: Final = 1e9
_HINTS: Final = np.uint32(16)
"""Place of `Renaming.hint` in `Calls.filled`."""
_SUCCESS_CODES: Final = {None: -1, False: 0, True: 1}

_call_id = attrgetter("call_id")
_outcome_id = attrgetter("outcome_id")
_time = attrgetter("occurred_at")
_group = attrgetter("task_type", "model", "config")
_latency = attrgetter("latency_ms")
_cost = attrgetter("cost_usd")
_tokens = attrgetter("tokens")
_tokens_in = attrgetter("tokens_in")
_tokens_out = attrgetter("tokens_out")
_facts = attrgetter("source", "success", "action")
_call_time = attrgetter("call_occurred_at")
_score = attrgetter("score")
_author = attrgetter("author")
_retracts = attrgetter("retracts")

_Key = TypeVar("_Key")


class _Codes(dict[_Key, int]):
    """Gives distinct values the codes 0, 1, 2, ..., in the order of their first use."""

    def __missing__(self, key: _Key) -> int:
        code = self[key] = len(self)
        return code

    def encode(self, values: Iterable[_Key], count: int) -> I32:
        """The codes of `count` values."""
        return np.fromiter(map(self.__getitem__, values), np.int32, count)


class _Named(NamedTuple):
    """Of calls: the codes of their groups, and the columns of `Renaming`."""

    group: I32
    digest: U64
    hint: U32
    sure: Bools
    changed: Bools


class _Groups:
    """Codes of the names of calls, as they were sent, and of the groups under which these are counted."""

    def __init__(self, renamer: Renamer) -> None:
        self._renamer = renamer
        self._sent: _Codes[Group] = _Codes()
        self._counted: _Codes[Group] = _Codes()
        self._renamings: list[Renaming] = []

    @property
    def names(self) -> list[Group]:
        """The groups, in the order of their codes."""
        return list(self._counted)

    def encode(self, sent: Iterable[Group], count: int) -> _Named:
        """The names of `count` calls."""
        codes = self._sent.encode(sent, count)
        for names in islice(self._sent, len(self._renamings), None):
            self._renamings.append(self._renamer.of(names))
        groups, digests, hints, sure, changed = zip(*self._renamings, strict=True) if self._renamings else ((),) * 5
        return _Named(
            self._counted.encode(groups, len(groups))[codes],
            np.array(digests, np.uint64)[codes],
            np.array(hints, np.uint32)[codes],
            np.array(sure, np.bool_)[codes],
            np.array(changed, np.bool_)[codes],
        )


class CallValues(NamedTuple):
    """Columns of `connectors.batch.Calls`; `sure` where they suffice to accept the call.

    `path`: see `ToolCodes`; 0 without these. `renamed`: to other names. `tried`: it has attempts, to be given the names
    of aliases.
    """

    key: U64
    at: I64
    sure: Bools
    group: I32
    digest: U64
    names: U32
    segment: U32
    session: U32
    session_key: U64
    unit: U64
    error: U32
    filled: U32
    uuid: U64
    failed: Bools
    latency_ms: F64
    cost_nano: I64
    tokens: I64
    tokens_out: F64
    facets: U32
    path: I64
    renamed: Bools
    tried: Bools


class OutcomeValues(NamedTuple):
    """Columns of `connectors.batch.Outcomes`; `sure` as in `CallValues`. `session`: hash of the session, 0 of a call's.

    Those of a session without a call have the `key` 0.
    """

    key: U64
    session: U64
    at: I64
    sure: Bools
    call_at: I64
    source: I32
    success: I8
    score: F64
    retract: Bools
    bare: Bools
    author: U64
    uuid: U64
    call_uuid: U64


class CallFields:
    """Collects the columns of calls, piece by piece; `names` are the groups of all pieces."""

    def __init__(self, renamer: Renamer, *, keep_payloads: bool, tools: ToolCodes | None = None) -> None:
        """Without `keep_payloads`, `add` removes `input` and `output` from the records; `tools` number their paths."""
        self._groups = _Groups(renamer)
        self._reader = ContentsReader(keep_payloads=keep_payloads, tools=tools)
        self._pieces: list[CallValues] = []

    @property
    def names(self) -> list[Group]:
        """Groups, in the order of their codes."""
        return self._groups.names

    def values(self) -> CallValues:
        """The columns of all pieces."""
        return CallValues(*map(_joined, zip(*self._pieces, strict=True)))

    def add(self, records: list[CallRecord]) -> None:
        """Append the columns of one piece."""
        count = len(records)
        at, sure = parse_times(list(map(_time, records)))
        ids = list(map(_call_id, records))
        cost = np.fromiter(map(_cost, records), np.float64, count)
        _fill(records, "config", DEFAULT_CONFIG)
        contents = self._reader.read(records)
        names = self._groups.encode(map(_group, records), count)
        latency_ms, tokens_in, tokens_out = (
            np.fromiter(map(one, records), np.float64, count) for one in (_latency, _tokens_in, _tokens_out)
        )
        tokens = _token_counts(records, tokens_in, tokens_out)
        filled = contents.filled | names.hint << _HINTS
        for name, given in (
            ("latency_ms", ~np.isnan(latency_ms)),
            ("cost_usd", ~np.isnan(cost)),
            ("tokens", tokens >= 0),
            ("attrs", names.changed),  # they will have the names as they were sent
        ):
            filled |= given * np.uint32(BITS[name])
        piece = CallValues(
            key=hashes_of(ids),
            at=at,
            sure=sure & names.sure & contents.sure,
            group=names.group,
            digest=contents.digest ^ names.digest,
            names=folded(names.digest),
            segment=contents.segment,
            session=folded(contents.session_key),
            session_key=contents.session_key,
            unit=contents.unit,
            error=contents.error,
            filled=filled,
            uuid=uuid_words(ids),
            failed=(filled & BITS["error"]) != 0,
            latency_ms=latency_ms,
            cost_nano=np.where(np.isnan(cost), -1, np.rint(cost * _NANO)).astype(np.int64),
            tokens=tokens,
            tokens_out=tokens_out,
            facets=with_tokens(contents.facets, tokens_in),
            path=contents.path,
            renamed=names.changed,
            tried=(filled & BITS["attempts"]) != 0,
        )
        self._pieces.append(piece)


def _token_counts(records: list[CallRecord], tokens_in: F64, tokens_out: F64) -> I64:
    """`tokens`; without it, the sum of `tokens_in` and `tokens_out` as far as they are given; -1 without any."""
    whole = np.fromiter(map(_tokens, records), np.float64, len(records))
    if np.isnan(whole).any():
        sides = tokens_in, tokens_out
        none = np.isnan(sides[0]) & np.isnan(sides[1])
        parts = np.where(none, -1.0, np.nan_to_num(sides[0]) + np.nan_to_num(sides[1]))
        whole = np.where(np.isnan(whole), parts, whole)
    return whole.astype(np.int64)  # exact: counts are at most 10^12


class OutcomeFields:
    """Collects the columns of outcomes, piece by piece; `names` are the sources of all pieces."""

    def __init__(self) -> None:
        self._codes: _Codes[str] = _Codes()
        self._pieces: list[OutcomeValues] = []

    @property
    def names(self) -> list[str]:
        """Sources, in the order of their codes."""
        return list(self._codes)

    def values(self) -> OutcomeValues:
        """The columns of all pieces."""
        return OutcomeValues(*map(_joined, zip(*self._pieces, strict=True)))

    def add(self, records: list[OutcomeRecord]) -> None:
        """Append the columns of one piece."""
        count = len(records)
        at, sure = parse_times(list(map(_time, records)))
        call_at, call_at_sure = _call_at(records)
        _fill(records, "action", DEFAULT_ACTION)
        codes: _Codes[tuple[str | None, bool | None, str]] = _Codes()
        code = codes.encode(map(_facts, records), count)
        success = np.array([_SUCCESS_CODES[success] for _, success, _ in codes], dtype=np.int8)[code]
        retract = np.array([action == "retract" for _, _, action in codes], dtype=np.bool_)[code]
        reserved = np.array([source in RESERVED_SOURCES for source, _, _ in codes], np.bool_)[code]
        named = np.array([source is not None for source, _, _ in codes], np.bool_)[code] & ~reserved
        score = np.fromiter(map(_score, records), np.float64, count)
        enough = named.copy()
        aimed = _given(list(map(_retracts, records)))
        enough |= retract & ~named & ~reserved & aimed
        bare = ~retract & (success < 0) & np.isnan(score)
        call_ids, outcome_ids = list(map(_call_id, records)), list(map(_outcome_id, records))
        subjects = subjects_of(records, call_ids)
        if any(map("\n".join(outcome_ids).__contains__, RESERVED_PREFIXES)):
            enough &= [not outcome_id.startswith(RESERVED_PREFIXES) for outcome_id in outcome_ids]
        piece = OutcomeValues(
            key=subjects.key,
            session=subjects.session,
            at=at,
            sure=sure & call_at_sure & enough & subjects.sure,
            call_at=call_at,
            source=self._codes.encode([source or "" for source, _, _ in codes], len(codes))[code],
            success=success,
            score=score,
            retract=retract | bare | aimed,
            bare=bare,
            author=_authors(records),
            uuid=uuid_words(outcome_ids),
            call_uuid=subjects.call_uuid,
        )
        self._pieces.append(piece)


def _joined(parts: tuple[NDArray[Any], ...]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _fill(records: list[Any], name: str, default: str) -> None:
    """Give the default to those records that have `null` there."""
    values = list(map(attrgetter(name), records))
    if None in values:
        for record, value in zip(records, values, strict=True):
            if value is None:
                msgspec.structs.force_setattr(record, name, default)


def _given(values: list[str | None]) -> Bools:
    """Which values are there; mostly none is."""
    if values.count(None) == len(values):
        return np.zeros(len(values), np.bool_)
    return np.fromiter((value is not None for value in values), np.bool_, len(values))


def _authors(records: list[OutcomeRecord]) -> U64:
    """Hashes of the authors, 0 where there is none: no hash is 0."""
    authors: list[str | None] = list(map(_author, records))
    hashes = np.zeros(len(authors), np.uint64)
    if authors.count(None) < len(authors):
        given = [(i, author) for i, author in enumerate(authors) if author is not None]
        hashes[[i for i, _ in given]] = np.maximum(hashes_of([author for _, author in given]), np.uint64(1))
    return hashes


def _call_at(records: list[OutcomeRecord]) -> tuple[I64, Bools]:
    texts: list[str | None] = list(map(_call_time, records))
    times, sure = np.full(len(texts), NEVER, dtype=np.int64), np.ones(len(texts), dtype=np.bool_)
    if texts.count(None) < len(texts):
        given = [(i, text) for i, text in enumerate(texts) if text is not None]
        rows = [i for i, _ in given]
        times[rows], sure[rows] = parse_times([text for _, text in given])
    return times, sure
