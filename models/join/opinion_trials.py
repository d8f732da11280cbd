"""Trials of single sources: what a watched source says of a call at the ends of minutes, whatever decides."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aftercall.times import HOUR_US
from models.arrays import I8, I16, I32, I64
from models.join.call_places import CallPlace, CallPlaces
from models.join.late_calls import coded, coded_one
from models.join.opinions import Opinions
from models.join.parts import columns_of
from models.join.statements import Statement, VerdictRules
from models.side_messages import NO_OPINION_TRIALS, OpinionTrials
from models.stats.minute_delays import bucket_of


def trials_of_source(
    source: str, call_minute: int, statements: Sequence[Statement], rules: VerdictRules
) -> Iterator[tuple[int, bool]]:
    """Minutes that end with a source saying success or failure, and another thing than the minute before. O(n log n).

    Args:
        source: which.
        call_minute: effective minute of the call.
        statements: the whole ledger, in any order: one source may withdraw what another has said.
        rules: those under which the call was accepted.
    """
    opinions, ends = Opinions(rules, (), failed=False), dict[int, bool | None]()
    for statement in sorted(statements, key=lambda one: one.minute):
        opinions.add(statement)
        ends[max(call_minute, statement.minute)] = opinions.says(source)
    before = None
    for minute, now in ends.items():
        if now is not None and now is not before:
            yield minute, now
        before = now


class OpinionTrialRows:
    """Those of one batch: gained, or withdrawn."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._rows: list[tuple[int, ...]] = []
        self._units: list[int] = []

    def add(self, calls: CallPlaces, minute: I32, source: I32, success: I8, count: I32) -> None:
        """What sources say at ends of minutes; where they say nothing (-1), that is no trial."""
        (some,) = (success >= 0).nonzero()
        unit = np.zeros(len(success), np.uint64) if calls.unit is None else calls.unit
        columns = coded(calls), minute, _hours(calls.at), source, success, minute - calls.minute, unit, count
        self._parts.append(tuple(column[some] for column in columns))

    def add_one(self, call: CallPlace, minute: int, source: int, success: bool, count: int) -> None:  # noqa: FBT001
        """One of them."""
        late = minute - call.minute
        self._rows.append((coded_one(call), minute, call.at // HOUR_US, source, int(success), late, count))
        self._units.append(call.unit)

    def add_ledger(
        self, call: CallPlace, statements: Sequence[Statement], rules: VerdictRules, codes: dict[str, int], count: int
    ) -> None:
        """Those of one ledger, of the sources that have `codes`."""
        for source in said_by(statements, codes):
            for minute, success in trials_of_source(source, call.minute, statements, rules):
                self.add_one(call, minute, codes[source], success, count)

    def table(self) -> tuple[I32, OpinionTrials]:
        """The calls' hours, and the rows; these may repeat."""
        if self._rows:
            code, minute, hour, source, success, late, count = np.array(self._rows, np.int32).T
            unit = np.array(self._units, np.uint64)
            self._parts.append((code, minute, hour, source, success.astype(np.int8), late, unit, count))
        if not self._parts:
            return NO_OPINION_TRIALS.minute, NO_OPINION_TRIALS
        code, minute, hour, source, success, late, unit, count = columns_of(self._parts)
        bucket: I16 = bucket_of(late)
        return hour, OpinionTrials(code, minute, source, success, bucket, unit, count)


def said_by(statements: Sequence[Statement], sources: Collection[str]) -> list[str]:
    """Those of `sources` by which there is a statement, each once."""
    return [source for source in dict.fromkeys(one.source for one in statements) if source in sources]  # type: ignore[misc] # None is none of them


def _hours(at: I64) -> I32:
    return (at // HOUR_US).astype(np.int32)
