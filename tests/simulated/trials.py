"""Simulated streams of trials, the detector of success rates, and the stage that makes alerts of its alarms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from aftercall.records import Alert
from models.alarms.alarm import Alarm, by_time
from models.alerts.alerting import Alerting
from models.alerts.settings import AlertSettings
from models.drift.settings import DriftSettings
from models.drift.success_rate.detector import SuccessRateDetector
from models.messages import NO_VALUES, Closed, ErrorTrials, Group, SliceTrials, TrialDeltas

START = 29_000_160  # midnight, in minutes since 1970
HOUR, DAY = 60, 1440
NO_WAIT = DriftSettings(warmup_us=0)


class Trials(NamedTuple):
    """Per (minute after START, group): how many trials succeeded, how many failed."""

    minute: np.ndarray
    group: np.ndarray
    successes: np.ndarray
    failures: np.ndarray
    names: list[Group]

    def between(self, begin: int, end: int) -> Closed:
        """The message that `groups` sends when minutes < end have closed, after those < begin."""
        rows = np.flatnonzero((self.minute >= begin) & (self.minute < end))
        rows = rows[np.lexsort((self.group[rows], self.minute[rows]))]
        code, minute = self.group[rows].astype(np.int32), (START + self.minute[rows]).astype(np.int32)
        ok, bad = self.successes[rows].astype(np.int32), self.failures[rows].astype(np.int32)
        nothing = np.zeros(len(rows), np.int32)
        trials = TrialDeltas(code, minute, ok, bad, ok, bad, nothing)
        return Closed(START + end, self.names, trials, NO_VALUES)


def simulate(
    rates: Mapping[Group, Iterable[tuple[int, float]]],
    end: int,
    every: int = 10,
    per_day: float = 2880.0,
    seed: int = 0,
) -> Trials:
    """Trials of groups whose success rate is `rate` from minute `begin` on, for each (begin, rate), until `end`.

    One batch every `every` minutes, Poisson many.
    """
    rng = np.random.default_rng(seed)
    names = sorted(rates)
    parts = []
    minutes = np.arange(0, end, every)
    for code, name in enumerate(names):
        rate = np.zeros(len(minutes))
        for begin, level in rates[name]:
            rate[minutes >= begin] = level
        n = rng.poisson(per_day * every / DAY, len(minutes))
        s = rng.binomial(n, rate)
        some = n > 0
        parts.append((minutes[some], np.full(int(some.sum()), code), s[some], (n - s)[some]))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Trials(columns[0], columns[1], columns[2], columns[3], names)


def with_sources(closed: Closed, sources: tuple[str, ...], shares: Mapping[str, tuple[float, float]]) -> Closed:
    """The same with slices: sources decide a share (of successes, of failures), the last of them the rest."""
    rng = np.random.default_rng(int(closed.through))
    t = closed.trials
    rows: list[tuple[int, int, int, int, int]] = []
    for at in range(len(t.code)):
        for success, count, which in ((0, t.trial_failures[at], 1), (1, t.trial_successes[at], 0)):
            left = int(count)
            for number, source in enumerate(sources):
                mine = left if number == len(sources) - 1 else int(rng.binomial(left, shares[source][which]))
                left -= mine
                if mine:
                    rows.append((int(t.code[at]), int(t.minute[at]), number, success, mine))
    columns = np.array(sorted(rows, key=lambda row: (row[1], row[0], row[2], row[3])), np.int32).reshape(-1, 5).T
    slices = SliceTrials(columns[0], columns[1], columns[2], columns[3].astype(np.int8), columns[4])
    return closed._replace(sources=sources, slices=slices)


def with_errors(closed: Closed, errors: tuple[str, ...], shares: Mapping[str, float]) -> Closed:
    """The same with errors: each has about a share of the failures of every minute, the rest has none."""
    t = closed.trials
    # Seeded by the minute, so that a cut of the messages changes nothing.
    rows = [
        (int(code), int(minute), number, int(count))
        for code, minute, failures in zip(t.code, t.minute, t.trial_failures, strict=True)
        for number, count in enumerate(
            np.random.default_rng([int(code), int(minute)]).multinomial(
                failures, [*(shares[error] for error in errors), 1 - sum(shares.values())]
            )[:-1]
        )
        if count
    ]
    failed = ErrorTrials(*np.array(rows, np.int32).reshape(-1, 4).T)
    return closed._replace(errors=errors, failed=failed)


def for_alerts(settings: DriftSettings) -> AlertSettings:
    """What `flows/settings/for_models.py` makes of the same section for the stage that makes alerts."""
    return AlertSettings(settings.warmup_us, settings.warmup_by_task, settings.new_normal_after_us)


def relation(alarm: Alarm) -> str:
    """How an alarm stands to the open one of its series."""
    return "recovery" if alarm.ends is not None else "again" if alarm.again else "first"


def alerts(trials: Trials, end: int, settings: DriftSettings = NO_WAIT, cuts: Iterable[int] = ()) -> list[Alert]:
    """All alerts of a stream, read in messages that end at `cuts` and at `end`.

    Without the evidence of other detectors: no alert hangs on it, and ADWIN's takes five times the CPU of all else.
    """
    detector, stage = SuccessRateDetector(settings), Alerting(for_alerts(settings))
    emitted: list[Alert] = []
    begin = 0
    for until in [*sorted({cut for cut in cuts if 0 < cut < end}), end]:
        closed = trials.between(begin, until)
        emitted += stage.close(closed, sorted(detector.close(closed), key=by_time))
        begin = until
    return emitted
