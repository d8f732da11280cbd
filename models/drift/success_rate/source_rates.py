"""Watches the success rates of single sources: what each of `[drift] sources` says itself, whatever decides.

Each source is watched as verdicts are (`RateTest`), by groups and roll-ups of its own: its trials take as long as that
source takes, so its delays are learned of it alone, and how far its days differ and its units agree likewise. In a task
type it begins with the first thing that the source says there; then its warm-up begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from aftercall.times import MINUTE_US, MINUTES_PER_DAY
from models.alarms.alarm import Alarm
from models.arrays import I64
from models.columns.group_sums import total
from models.drift.settings import DriftSettings
from models.drift.success_rate.daily_trials import within_days
from models.drift.success_rate.rate_test import RateTest
from models.drift.success_rate.series import SeriesIndex
from models.messages import Closed, SliceTrials, TrialDelays, TrialDeltas, UnitTrials
from models.side_messages import OpinionTrials

BUDGET_LINE = "source_rate"
_NEVER = np.iinfo(np.int64).max


class SourceRates:
    """A `RateTest` per source that the settings name: nothing where they name none."""

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance: of the sources that are still watched."""
        kept: dict[str, Any] = {} if state is None else state
        # Silence decides calls, and is no opinion of any source: no kind of these comes a horizon later.
        rules = replace(settings, unpromised_tasks=frozenset())
        part = 1 / max(len(settings.sources), 1)
        self._tests = {
            source: RateTest(rules, kept.get(source), threshold=settings.threshold_of(BUDGET_LINE, part), source=source)
            for source in settings.sources
        }

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        """See `Detector`: calls, and what the sources said of them."""
        raised = list(alarms)
        for source, test in self._tests.items():
            part = opinions_of(source, closed, test.watches)
            levels = test.levels(part.names, part.trials)
            for of_day in within_days(part.trials.minute, 0):
                test.begin_day(of_day[0] // MINUTES_PER_DAY)
                rows = test.rows(levels, part, of_day)
                raised += test.test(rows) if len(rows.minute) else []
                test.learn_delays(levels, part, of_day)
            test.units.take_shared()  # of the rates of verdicts alone
            test.open.expire(closed.through * MINUTE_US)
        return raised

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {source: test.state() for source, test in self._tests.items()}


def opinions_of(source: str, closed: Closed, watches: SeriesIndex) -> Closed:
    """A message in which the opinions of one source are the trials, and calls are those since its first one.

    `watches`: of what happened before.
    """
    code = closed.sources.index(source) if source in closed.sources else -1
    mine = closed.opinion_trials.source == code
    # A source that is watched since a moment ago may take back what was never counted.
    some = (mine & (closed.opinion_trials.count > 0)).nonzero()[0]
    said = OpinionTrials(*(column[some] for column in closed.opinion_trials))
    called = closed.trials.minute >= _begun(closed, said, watches)[closed.trials.code]
    known = TrialDeltas(*(column[called & (closed.trials.calls != 0)] for column in closed.trials))
    with_unit = (said.unit != 0).nonzero()[0]
    return closed._replace(
        trials=_with_trials(known, said),
        delays=_delays(said),
        slices=_slices(said),
        units=_units(OpinionTrials(*(column[with_unit] for column in said))),
        marks=(),
    )


def _begun(closed: Closed, said: OpinionTrials, watches: SeriesIndex) -> I64:
    """By name, the first minute of the source in its task type."""
    first = {group[0]: 0 for group, above in zip(watches.groups, watches.parent.tolist(), strict=True) if above < 0}
    codes, at = np.unique(said.code, return_index=True)
    for code, minute in zip(codes.tolist(), said.minute[at].tolist(), strict=True):
        task = closed.names[code][0]
        first[task] = min(first.get(task, _NEVER), minute)
    return np.array([first.get(name[0], _NEVER) for name in closed.names], np.int64)


def _with_trials(calls: TrialDeltas, said: OpinionTrials) -> TrialDeltas:
    good = said.count * (said.success == 1)
    none, zeros = np.zeros(len(said.code), np.int32), np.zeros(len(calls.code), np.int32)
    columns = (
        np.concatenate((calls.minute, said.minute)),
        np.concatenate((calls.code, said.code)),
        np.concatenate((zeros, good)),
        np.concatenate((zeros, said.count - good)),
        np.concatenate((calls.calls, none)),
    )
    if not len(columns[0]):
        return calls
    first, (successes, failures, called) = total(columns[:2], columns[2:])
    return TrialDeltas(columns[1][first], columns[0][first], successes, failures, successes, failures, called)


def _delays(said: OpinionTrials) -> TrialDelays:
    if not len(said.code):
        return TrialDelays(said.code, said.minute, said.success, said.bucket, said.count)
    first, (count,) = total((said.minute, said.code, said.success, said.bucket), (said.count,))
    return TrialDelays(said.code[first], said.minute[first], said.success[first], said.bucket[first], count)


def _slices(said: OpinionTrials) -> SliceTrials:
    if not len(said.code):
        return SliceTrials(said.code, said.minute, said.source, said.success, said.count)
    first, (count,) = total((said.minute, said.code, said.success), (said.count,))
    return SliceTrials(said.code[first], said.minute[first], said.source[first], said.success[first], count)


def _units(said: OpinionTrials) -> UnitTrials:
    if not len(said.code):
        return UnitTrials(said.code, said.minute, said.unit, said.success, said.count)
    _, place = np.unique(said.unit, return_inverse=True)
    first, (count,) = total((said.minute, said.code, place, said.success), (said.count,))
    return UnitTrials(said.code[first], said.minute[first], said.unit[first], said.success[first], count)
