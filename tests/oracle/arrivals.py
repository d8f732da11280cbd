"""The detector of volumes as its documentation has it: one series and one hour at a time, in plain Python.

What is written in words in `models/drift/volume/weekly_profile.py`, `models/stats/lumps.py` and docs/reference.md,
section 3; slow, and without any of their code. Silences before a profile is known are not in it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

WEEK, DAY = 168, 24
FEWER, MORE = (0.02, 0.1, 0.3), (3.0, 10.0)
SHIFTS = (0, -1, 1)
FADE = 0.7
HOLIDAY = 1000
"""Slots of a holiday's hours begin here."""


class When(NamedTuple):
    """An hour: as clocks show it, whether it lies on a holiday, whether it is watched, and the clock an hour before."""

    local: int
    before: int
    holiday: bool = False
    watched: bool = True


class Found(NamedTuple):
    """An alarm, or a return (`mean_r` is None), at the end of `hour`."""

    hour: int
    down: bool
    since: float
    seen: float
    foreseen: float
    mean_r: float | None


@dataclass
class Trial:
    """One ratio against one of the three profiles."""

    ratio: float
    r: float = 0.0
    cusum: float = 0.0
    since: float = 0.0
    seen: float = 0.0
    foreseen: float = 0.0
    gain: float = 0.0


def upper(value: float, df: float, z: float) -> float:
    """An upper confidence bound of a dispersion (Wilson and Hilferty)."""
    spread = 2 / (9 * df)
    return value / float(max(1 - spread + z * math.sqrt(spread), 0.01) ** 3)


@dataclass
class ReferenceSeries:
    """Events of one series; `ratios` are FEWER, or FEWER and MORE."""

    ratios: tuple[float, ...]
    threshold: float
    normal_after: int
    began: int | None = None
    events: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    exposure: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    least: float = 2.0
    """Times as many that must have been due, or come."""
    varies: float = 0.05
    """What days and hours vary at least, tau^2."""
    opened: tuple[int, bool] | None = None
    part: bool = False
    back: float = 0.0

    def _begin(self, hour: int) -> None:
        self.began, self.opened, self.back = hour, None, 0.0
        self.events.clear()
        self.exposure.clear()
        self.trials = [[Trial(ratio, since=hour) for ratio in self.ratios] for _ in SHIFTS]
        self.due, self.spread, self.lead, self.today = [0.0] * 3, [0.0] * 3, [0.0] * 3, 0.0
        self.phi = self.shape = self.mean = self.known = 1.0
        self.moved = self.holidays = 0
        # Sums over hours: squares, scale, number, repeated, level; over days: off, scale, number.
        self.of_hours, self.of_days = [0.0] * 5, [0.0] * 3
        # Days that may belong to a fall are not taken for what days vary until it is known.
        self.held = [0.0] * 3
        # Hours in which events were surely due, and those of them that were empty.
        self.surely = self.empty = self.chance = self.crowds = 0.0
        self.mosts = (0.0, 0.0)

    def hour(self, hour: int, when: When, events: float, exposure: float = 1.0) -> list[Found]:
        """Take in one hour; the first one that has events begins the series."""
        if self.began is None:
            if not events:
                return []
            self._begin(hour)
        if self.opened is not None and hour + 1 - self.opened[0] >= self.normal_after:
            self._begin(hour)
        assert self.began is not None
        if when.local // DAY > when.before // DAY:
            self._begin_day(hour)
        slots = [self._slot(when, shift) for shift in SHIFTS]
        due = [self._due(slot, exposure) for slot in slots]
        tested = when.watched and hour - self.began >= 2 * WEEK and (not when.holiday or self.holidays >= 2 * DAY)
        changes = [0.0] * len(self.ratios)
        learning = self.opened is None
        if tested:
            changes = self._test(hour, slots, due, events)
        if learning and when.watched:
            self._learn(slots[0], events, (exposure, due[0]), holiday=when.holiday)
        if not learning:
            return self._returned(hour, events, due[0], changes) if hour - self.began >= 2 * WEEK else []
        return self._alarmed(hour)

    def _slot(self, when: When, shift: int) -> int:
        local = when.local + self.moved + shift
        return HOLIDAY + local % DAY if when.holiday else local % WEEK

    def _weight(self, slot: int) -> float:
        return (0.1 if slot >= HOLIDAY else self.shape) * self.phi

    def _due(self, slot: int, exposure: float) -> float:
        weight = self._weight(slot)
        return exposure * (self.events[slot] + weight) / (self.exposure[slot] + weight / max(self.mean, 1e-9))

    def _test(self, hour: int, slots: list[int], due: list[float], events: float) -> list[float]:
        """Advance every R; returns how much evidence came against the profile as it is."""
        changes = []
        self.today += events
        for at, (slot, mu) in enumerate(zip(slots, due, strict=True)):
            own = (self._weight(slot) + self.events[slot]) / self.phi
            self.due[at] += mu
            self.spread[at] += mu**2 * (self.varies + 1 / own)
            days = self._days() + self.phi / max(self.known, 1e-9) + self.spread[at] / max(self.due[at], 1e-9) ** 2
            a, m, n = 1 / days, max(self.due[at] / self.phi, 1e-9), self.today / self.phi
            for trial, as_it_is in zip(self.trials[at], self.trials[0], strict=True):
                ratio = math.log((a + m) / (a + trial.ratio * m))
                gain = a * ratio + n * (math.log(trial.ratio) + ratio)
                change = min(gain - trial.gain, self._most(trial.ratio, events, mu))
                trial.gain += change
                # An hour off counts since the profile as it is has been wrong, which is tested first (at == 0).
                carried = min(trial.r, as_it_is.r)
                trial.r = min((carried + 1 / WEEK) * math.exp(change), 1e15)
                trial.cusum += change
                if trial.cusum > 0:
                    trial.seen, trial.foreseen = trial.seen + events, trial.foreseen + mu
                else:
                    trial.cusum, trial.since, trial.seen, trial.foreseen = 0.0, hour + 1, 0.0, 0.0
                if at == 0:
                    changes.append(change)
            first = self._likely(slots[0], events, due[0])
            likely = self._likely(slot, events, mu)
            self.lead[at] = max(self.lead[at] + likely - first, 0.0)
        return changes

    def _likely(self, slot: int, events: float, due: float) -> float:
        """Logarithm of the negative binomial likelihood of an hour, but for what all profiles have in common."""
        a, n = 1 / (self.varies + self.phi / (self._weight(slot) + self.events[slot])), events / self.phi
        m = max(due / self.phi, 1e-9)
        return math.lgamma(n + a) - math.lgamma(a) + a * math.log(a / (a + m)) + n * math.log(m / (a + m))

    def _most(self, ratio: float, events: float, due: float) -> float:
        """What an hour may add to the evidence."""
        if ratio > 1:
            return self.mosts[1] if events >= 2 * due else 0.0
        if 1.25 * events > due:
            return 0.0
        lumps = due / self.phi
        return min(lumps, self.mosts[0]) if lumps >= 3 else lumps

    def _days(self) -> float:
        off, scale, count = self.of_days
        return max(upper(max(off, 0.0) / max(scale, 1e-9), max(count, 1.0), -0.5244005127080409), self.varies)

    def _learn(self, slot: int, events: float, due_at: tuple[float, float], *, holiday: bool) -> None:
        (exposure, due), kept = due_at, FADE ** (1 / WEEK)
        seen, at = self.events[slot], self.exposure[slot]
        if not holiday and at > 0:
            foreseen, usual = exposure * seen / at, exposure * self.mean
            weight = at / (at + 0.55 * exposure)
            terms = (
                weight * (events - foreseen) ** 2,
                exposure * (events + seen) / (exposure + at),
                1.0,
                weight * (foreseen - usual) * (events - usual),
                weight * usual**2,
            )
            self.of_hours = [old * kept + new for old, new in zip(self.of_hours, terms, strict=True)]
            self.crowds = self.crowds * kept + (events >= 3 * due and events >= due + 5 * self.phi)
            if due >= 3 * self.phi:
                self.surely = self.surely * kept + 1
                self.empty = self.empty * kept + (events <= 0.1 * due)
                self.chance = self.chance * kept + math.exp(-due / self.phi)
        self.holidays += holiday
        self.events[slot] = seen * FADE + events
        self.exposure[slot] = at * FADE + exposure

    def _begin_day(self, hour: int) -> None:
        assert self.began is not None
        if self.opened is None and hour - self.began >= WEEK + DAY and self.due[0] > 0:
            off = (self.today - self.due[0]) ** 2 - self.due[0] * self.phi - self.spread[0]
            terms = (off, self.due[0] ** 2, 1.0)
            self.held = [old + new for old, new in zip(self.held, terms, strict=True)]
            if sum(trial.r for trial in self.trials[0][: self._few()]) / self._few() < 3:
                self.of_days = [old * FADE ** (1 / 7) + new for old, new in zip(self.of_days, self.held, strict=True)]
                self.held = [0.0] * 3
        else:
            self.held = [0.0] * 3
        if self.opened is None:
            self._move(hour)
        self.due, self.spread, self.today = [0.0] * 3, [0.0] * 3, 0.0
        for trial in (trial for trials in self.trials for trial in trials):
            trial.gain = 0.0
        squares, scale, count, repeated, level = self.of_hours
        phi = min(max(squares / scale, 1.0), 1000.0) if scale > 0 else 1.0
        self.phi = min(upper(phi, max(min(count, scale / phi), 1.0), -0.5244005127080409), 1000.0)
        varies = (repeated - self.phi * math.sqrt(level)) / max(level, 1e-9)
        self.shape = min(max(1 / max(varies, 1e-3) - 1, 0.1), 100.0)
        events = sum(self.events[slot] for slot in range(WEEK))
        exposure = sum(self.exposure[slot] for slot in range(WEEK))
        self.mean = events / exposure if exposure > 0 else 1.0
        self.known = events
        empty = max(self.empty - self.chance - 3.0 * math.sqrt(self.chance), 0.0)
        rarely = 0.01 * math.exp(-max(self.surely - 25, 0.0) / 10)
        self.mosts = (
            math.log((self.surely + rarely) / (empty + rarely)),
            math.log((self.of_hours[2] + 0.01) / (self.crowds + 0.01)),
        )

    def _move(self, hour: int) -> None:
        leads = [
            lead if abs(self.moved + shift) <= 1 and due / 2 <= self.today <= 2 * due and due >= 5 * self.phi else 0.0
            for shift, lead, due in zip(SHIFTS, self.lead, self.due, strict=True)
        ]
        if max(leads) >= 15.0:
            self.moved += SHIFTS[leads.index(max(leads))]
            self._clear(hour)

    def _clear(self, since: int) -> None:
        for trial in (trial for trials in self.trials for trial in trials):
            trial.r = trial.cusum = trial.seen = trial.foreseen = trial.gain = 0.0
            trial.since = since
        self.due, self.spread, self.lead, self.today = [0.0] * 3, [0.0] * 3, [0.0] * 3, 0.0

    def _few(self) -> int:
        return sum(ratio < 1 for ratio in self.ratios)

    def _alarmed(self, hour: int) -> list[Found]:
        few = self._few()
        least = []
        for part in (slice(few), slice(few, None))[: 1 if len(self.ratios) == few else 2]:
            means = [sum(trial.r for trial in trials[part]) / len(trials[part]) for trials in self.trials]
            best = max(trial.cusum for trial in self.trials[0][part])
            near = [trial for trial in self.trials[0][part] if trial.cusum >= best / 2]
            parts = [trial.seen / max(trial.foreseen, 1e-9) for trial in near]
            # Clocks change seldom: a quarter of the evidence will do against a profile an hour off.
            least.append(
                (
                    min(means[0], *(4.0 * mean for mean in means[1:])),
                    near[parts.index((max if part.start else min)(parts))],
                )
            )
        up = len(least) > 1 and least[1][0] > least[0][0]
        mean, trial = least[int(up)]
        enough = trial.foreseen >= 5 or (up and min(self.mean * DAY, trial.seen) >= 5)
        if mean < self.threshold or not enough:
            return []
        if (trial.seen < self.least * trial.foreseen) if up else (self.least * trial.seen > trial.foreseen):
            self._clear(hour + 1)
            return []
        self.opened, self.back = (hour + 1, not up), 0.0
        self.part = trial.seen > 0.4 * trial.foreseen
        return [Found(hour, not up, trial.since, trial.seen, trial.foreseen, mean)]

    def _returned(self, hour: int, events: float, due: float, changes: list[float]) -> list[Found]:
        assert self.opened is not None
        _, down = self.opened
        # Against a rate of .3; of a fall that left more than .4, against the one nearest to what is usual.
        nearest = self._few() if not down else self._few() - 1 if self.part else self.ratios.index(0.3)
        self.back = max(0.0, self.back - changes[nearest])
        if self.back < 5.0:
            return []
        self.opened = None
        self._clear(hour + 1)
        return [Found(hour, not down, hour, events, due, None)]
