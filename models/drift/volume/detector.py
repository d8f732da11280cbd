"""Detect what stays away or multiplies among many series of one kind, and when it is back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np

from aftercall.records import Direction
from aftercall.times import HOUR_US, HOURS_PER_DAY
from models.alarms.alarm import Alarm, Series, VolumeChange
from models.alarms.digits import rounded
from models.alarms.open_alarms import OpenAlarms
from models.arrays import F64, I64, Bools
from models.drift.settings import DriftSettings
from models.drift.volume.clocks import clocks_of
from models.drift.volume.silence import Silences
from models.drift.volume.weekly_profile import FEWER, MORE, WeeklyProfiles
from models.stats.chi_square import chi_square_quantile

FORGOTTEN: Final = 28 * HOURS_PER_DAY
"""Hours without an event after which a series is no longer watched."""
BACK: Final = 5.0
"""Logarithm of the likelihood ratio, since the trouble was at its worst, at which it is over."""
HEARD: Final = 3
"""Hours with events after which it is over, while no profile is known."""
LEAST_EXPECTED: Final = 5.0
"""Events that were expected, at least, where fewer came: fewer can stay away by chance at any rate."""
_SELDOM: Final = 4.0
"""Clocks change twice a year: against a profile an hour off a part of the evidence will do, so many times less."""
_PART: Final = 0.4
"""Of what is due: a fall to more than this is not one of most."""
_LEVEL = 0.99


class Deviation(NamedTuple):
    """`seen` events where `foreseen` were expected, from hour `since` on."""

    direction: Direction
    since: float
    seen: float
    foreseen: float
    mean_r: float | None = None
    """None where no profile is known, and of a return."""
    over: bool = False
    """It is the return from an open alarm."""


class Measure(NamedTuple):
    """In what an alarm on a series is expressed: `baseline` in `unit`, which `seen / foreseen` multiplies."""

    series: Series
    baseline: float
    unit: str


class ArrivalDetector:
    """Many series of one kind, by their `keys`; `advance_hour` takes each hour in turn."""

    _LEAST: ClassVar = 2.0
    """So many times as much must be due as came, or have come as was due."""

    def __init__(self, settings: DriftSettings, *, more: bool, state: dict[str, Any] | None = None) -> None:
        """Start without series, or from a `state()`.

        Args:
            settings: promise, and how long an alarm lasts before its series is learned from scratch.
            more: whether too much is looked for too.
            state: of another instance.
        """
        self._calendar = settings.calendar
        self._after = settings.new_normal_after_us // HOUR_US
        self._promise = settings.false_alarms_per_1000_groups_per_week
        kept = state or {"keys": [], "profile": None, "quiet": None, "book": None}
        self.keys: list[tuple[str, ...]] = list(kept["keys"])
        self._profile = self._profiles(np.concatenate((FEWER, MORE)) if more else FEWER, kept["profile"])
        self._quiet = Silences(kept["quiet"])
        self._alarms = OpenAlarms(settings.new_normal_after_us, kept["book"])
        none = np.zeros(0)
        self._open: F64 = kept.get("open", none)
        """-1 fewer, -2 fewer but not by most, 1 more, 0 no alarm."""
        self._opened: F64 = kept.get("opened", none)
        self._back: F64 = kept.get("back", none)
        self._threshold: F64 = kept.get("threshold", none)

    def _profiles(self, ratios: F64, state: dict[str, F64] | None) -> WeeklyProfiles:
        return WeeklyProfiles(ratios, state)

    def __len__(self) -> int:
        return len(self.keys)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "keys": self.keys,
            "profile": self._profile.state(),
            "quiet": self._quiet.state(),
            "book": self._alarms.state(),
            "open": self._open,
            "opened": self._opened,
            "back": self._back,
            "threshold": self._threshold,
        }

    @property
    def learning(self) -> Bools:
        """Whose history shows what is normal: those without an open alarm."""
        quiet: Bools = self._open == 0
        return quiet

    def add(self, keys: Sequence[tuple[str, ...]], thresholds: Sequence[float], hour: int) -> None:
        """Watch these from `hour` on."""
        self.keys += keys
        self._profile.add(len(keys), hour)
        self._quiet.add(len(keys), hour)
        self._open, self._opened, self._back = (
            np.concatenate((column, np.zeros(len(keys)))) for column in (self._open, self._opened, self._back)
        )
        self._threshold = np.concatenate((self._threshold, thresholds))

    def usual(self, hour: int) -> F64:
        """Events an hour so far, shape (series,)."""
        return self._quiet.seen / np.maximum(hour - self._profile.began, 1.0)

    def forgotten(self, hour: int) -> Bools:
        """Which have been without events, and without an alarm, for too long."""
        gone: Bools = (hour - self._quiet.last >= FORGOTTEN) & (self._open == 0)
        return gone

    def keep(self, kept: Bools) -> None:
        """Forget the others."""
        self.keys = [key for key, stays in zip(self.keys, kept.tolist(), strict=True) if stays]
        self._profile.keep(kept)
        self._quiet.keep(kept)
        self._open, self._opened, self._back = self._open[kept], self._opened[kept], self._back[kept]
        self._threshold = self._threshold[kept]

    def normal(self, hour: int) -> I64:
        """Rows whose alarm becomes normal at the end of `hour`; they start from scratch. Call before `advance_hour`."""
        rows = np.flatnonzero((self._open != 0) & (hour + 1 - self._opened >= self._after))
        self._profile.relearn(rows, hour)
        self._quiet.relearn(rows, hour)
        self._open[rows] = 0.0
        return rows

    def advance_hour(self, hour: int, events: F64, exposure: F64, usual: F64) -> list[tuple[int, Deviation]]:
        """One hour of all series, arrays of shape (series,).

        Args:
            hour: since 1970 UTC, one more than the last time.
            events: that arrived.
            exposure: as `models.drift.volume.weekly_profile` takes it.
            usual: events due while no profile is known.

        Returns:
            Row and deviation of each alarm and each return to normal.
        """
        clocks = clocks_of(self._calendar, [key[0] for key in self.keys], hour)
        learning, before = self.learning, self._profile.evidence.copy()
        r, foreseen = self._profile.advance_hour(hour, events, exposure, learning, clocks)
        known, counted = self._profile.known(hour), clocks.watched & ~clocks.holiday
        due = np.where(known, foreseen, usual)
        silent = self._quiet.advance_hour(hour, events, due, learning, counted) & ~known & learning
        found: list[tuple[int, Deviation]] = []
        for row, deviation in self._alarmed(r, hour, learning):
            found.append((row, deviation))
            self._begin(row, hour, deviation)
        for row in np.flatnonzero(silent).tolist():
            found.append((row, Deviation("down", self._quiet.last[row] + 1, 0.0, self._quiet.due[row])))
            self._begin(row, hour, found[-1][1])
        return found + self._over(hour, events, foreseen, known, before, ~learning)

    def _alarmed(self, r: F64, hour: int, learning: Bools) -> Iterator[tuple[int, Deviation]]:
        """Rows whose R has reached the threshold whichever profile is right, and that are plainly fewer or more."""
        few, c = self._few, self._profile.columns
        # Each of the three profiles is refuted by so much at least: shape (series,) each.
        parts = [part.mean(axis=2) for part in (r[:, :, :few], r[:, :, few:]) if part.shape[2]]
        least = [np.minimum(part[:, 0], _SELDOM * part[:, 1:].min(axis=1)) for part in parts]
        for row in np.flatnonzero(learning & (np.max(least, axis=0) >= self._threshold)).tolist():
            up = len(least) > 1 and least[1][row] > least[0][row]
            part = slice(few, None) if up else slice(few)
            # Of the ratios that nearly all of the evidence is for, the one whose time shows it plainest.
            near = np.flatnonzero(c.cusum[row, 0, part] >= c.cusum[row, 0, part].max() / 2)
            of_due = c.seen[row, 0, part][near] / np.maximum(c.foreseen[row, 0, part][near], 1e-9)
            j = (part.start or 0) + int(near[of_due.argmax() if up else of_due.argmin()])
            seen, foreseen = float(c.seen[row, 0, j]), float(c.foreseen[row, 0, j])
            direction: Direction = "up" if up else "down"
            if not self._enough(row, foreseen, seen, up=up):
                continue
            if not self._plain(direction, seen, foreseen):
                self._profile.clear(row, hour)
                continue
            yield row, Deviation(direction, float(c.since[row, 0, j]), seen, foreseen, float(least[int(up)][row]))

    def _enough(self, row: int, foreseen: float, seen: float, *, up: bool) -> bool:
        """Whether enough were expected to miss any: since the change, or of a crowd in a day."""
        in_a_day = float(self._profile.mean[row]) * HOURS_PER_DAY
        return foreseen >= LEAST_EXPECTED or (up and min(in_a_day, seen) >= LEAST_EXPECTED)

    def alarms(self, found: list[tuple[int, Deviation]], measures: list[Measure], hour: int) -> list[Alarm]:
        """The alarms of what `advance_hour` returned for `hour`, each expressed in its measure."""
        at = (hour + 1) * HOUR_US
        self._alarms.expire(at)
        daily = self.usual(hour + 1) * HOURS_PER_DAY
        alarms = []
        for (row, deviation), measure in zip(found, measures, strict=True):
            if deviation.over and not self._alarms.is_open(measure.series):
                continue  # what nothing is open about cannot return
            alarm = _alarm(at, deviation, measure, self._promise, (float(daily[row]), float(daily.sum())))
            alarms.append(self._alarms.add(alarm, (measure.baseline,)))
        return alarms

    def _begin(self, row: int, hour: int, deviation: Deviation) -> None:
        part = deviation.seen > _PART * deviation.foreseen
        self._open[row] = 1.0 if deviation.direction == "up" else -2.0 if part else -1.0
        self._opened[row], self._back[row] = hour + 1, 0.0

    @property
    def _few(self) -> int:
        """How many ratios are of fewer; they come first."""
        return int((self._profile.ratios < 1).sum())

    def _plain(self, direction: Direction, seen: float, foreseen: float) -> bool:
        """Whether half as many came, or twice: after a flood the rest of the day is but less than the flood was."""
        return self._LEAST * seen <= foreseen if direction == "down" else seen >= self._LEAST * foreseen

    def _nearest(self, row: int) -> int:
        """The ratio that is compared with 1 to tell whether an alarm's trouble is over."""
        if self._open[row] == -1:
            return len(FEWER) - 1
        return self._few if self._open[row] > 0 else self._few - 1

    def _over(
        self, hour: int, events: F64, foreseen: F64, known: Bools, before: F64, opened: Bools
    ) -> list[tuple[int, Deviation]]:
        """Open alarms whose trouble is over."""
        found: list[tuple[int, Deviation]] = []
        for row in np.flatnonzero(opened).tolist():
            down, nearest = self._open[row] < 0, self._nearest(row)
            if known[row]:
                change = self._profile.evidence[row, nearest] - before[row, nearest]
                self._back[row] = max(0.0, self._back[row] - change)
                over = self._back[row] >= BACK
            else:
                self._back[row] += events[row] > 0
                over = self._back[row] >= HEARD
            if over:
                direction: Direction = "up" if down else "down"
                found.append((row, Deviation(direction, hour, events[row], foreseen[row], over=True)))
                self._open[row] = 0.0
                self._profile.clear(row, hour)
        return found


def _alarm(at: int, deviation: Deviation, measure: Measure, promise: float, daily: tuple[float, float]) -> Alarm:
    """`daily`: events a day of the series, and of all together."""
    seen, expected, mean_r = deviation.seen, max(deviation.foreseen, 1e-9), deviation.mean_r
    low = chi_square_quantile((1 - _LEVEL) / 2, 2 * seen) / 2 / expected if seen > 0 else 0.0
    high = chi_square_quantile((1 + _LEVEL) / 2, 2 * seen + 2) / 2 / expected
    base = float(measure.baseline)
    usual, everything = daily
    hours = max(at / HOUR_US - deviation.since, 1.0)
    # A day may have few busy hours, in which most are missing; a crowd comes at any.
    fewer, more = usual * (1 - seen / expected), (seen - expected) / hours * HOURS_PER_DAY
    per_day = float(max(fewer if deviation.direction == "down" else more, 0.0))
    evidence = {"seen": seen, "expected": deviation.foreseen} | ({} if mean_r is None else {"mean_r": mean_r})
    return Alarm(
        at=at,
        series=measure.series,
        direction=deviation.direction,
        baseline=base,
        current=float(base * (seen / expected)),
        effect_low=base * (low - 1),
        effect_high=base * (high - 1),
        changed_at=int(deviation.since) * HOUR_US,
        # Whether the alarm that a return ends was promised, `OpenAlarms` knows.
        promise=promise if mean_r is not None or deviation.over else None,
        evidence=rounded(evidence),
        details=VolumeChange(
            float(seen), float(deviation.foreseen), measure.unit, per_day, min(per_day / max(everything, 1e-9), 1.0)
        ),
    )
