"""What may be expected to arrive, one call and one delay at a time; the words are those of `delay_odds.py`."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

MOST = 50.0
ENOUGH = 30.0
PARENT_WEIGHT, OTHER_WEIGHT = 50.0, 10.0
MEMORY_DAYS = 28.0
DAY, HOUR = 1440, 60
HORIZON = 72 * HOUR
NEAR = 2 * HOUR
"""Calls of the last two hours are counted by the minute, others by the hour."""

EDGES = [0]
"""First delay of each bucket, minutes: one for each minute up to 8, then wider by a quarter; the last from 72 h on."""
while EDGES[-1] < HORIZON:
    EDGES.append(min(max(EDGES[-1] + 1, EDGES[-1] * 5 // 4), HORIZON))

Shares = tuple[dict[int, float], dict[int, float]]
"""Of failures, of successes: share of the trials within 72 h, by bucket."""


def bucket(delay: int) -> int:
    """Where a delay in minutes lies."""
    return max(index for index, edge in enumerate(EDGES) if edge <= delay)


def middle(index: int) -> float:
    """Mean of the whole minutes of a bucket; of the last its beginning."""
    return float(HORIZON) if index == len(EDGES) - 1 else (EDGES[index] + EDGES[index + 1] - 1) / 2


@dataclass
class Delays:
    """How long the trials of a task type, or of a model in it, take. `wait`: minutes after which a day's are in."""

    parent: Delays | None
    wait: int
    first_day: int | None = None
    pending: Counter[tuple[int, bool, int]] = field(default_factory=Counter)
    """By day of the call, success, bucket."""
    settled: dict[tuple[bool, int], float] = field(default_factory=dict)
    _shares: Shares | None = None

    def add(self, minute: int, delay: int, *, success: bool) -> None:
        """A trial."""
        day = minute // DAY
        self.first_day = day if self.first_day is None else self.first_day
        index = bucket(delay)
        called = max(math.floor((minute - middle(index)) / DAY), self.first_day)
        self.pending[called, success, index] += 1

    def begin_day(self, day: int, gap: int) -> None:
        """Release the cohorts all of whose trials can be in. `gap`: days since the one before."""
        self._shares = None
        for key in self.settled:
            self.settled[key] *= math.exp(-gap / MEMORY_DAYS)
        for called, success, index in list(self.pending):
            if (day - called - 1) * DAY >= min(self.wait, HORIZON):
                count = self.pending.pop((called, success, index))
                if index < len(EDGES) - 1:
                    self.settled[success, index] = self.settled.get((success, index), 0.0) + count

    def known(self) -> bool:
        """Whether the task type's rest on enough."""
        return sum((self if self.parent is None else self.parent).settled.values()) >= ENOUGH

    def shares(self) -> Shares:
        """Drawn towards those of both verdicts (a task type's), and towards the task type's (a model's)."""
        if self._shares is None:
            lent, weight = (
                (self._both(), OTHER_WEIGHT) if self.parent is None else (self.parent.shares(), PARENT_WEIGHT)
            )
            failures, successes = (
                normal({i: self._of(kind, i) + weight * lent[kind].get(i, 0.0) for i in range(len(EDGES) - 1)})
                for kind in (False, True)
            )
            self._shares = failures, successes
        return self._shares

    def _of(self, success: bool, index: int) -> float:  # noqa: FBT001 - half of a key
        return self.settled.get((success, index), 0.0)

    def _both(self) -> Shares:
        both = normal({i: self._of(False, i) + self._of(True, i) for i in range(len(EDGES) - 1)})
        return both, both


def normal(counts: dict[int, float]) -> dict[int, float]:
    """Shares of their sum."""
    whole = sum(counts.values())
    return {index: count / whole for index, count in counts.items()} if whole > 0 else {}


@dataclass
class Calls:
    """Minutes in which a watch had calls, ascending, and how many it had had up to the end of each."""

    minutes: list[int] = field(default_factory=list)
    upto: list[int] = field(default_factory=list)

    def add(self, minute: int, count: int) -> None:
        """Calls of a minute after all others."""
        self.minutes.append(minute)
        self.upto.append(count + (self.upto[-1] if self.upto else 0))

    def before(self, minute: int) -> int:
        """Calls in minutes < `minute`."""
        place = bisect_left(self.minutes, minute)
        return self.upto[place - 1] if place else 0

    def older(self, age: int, now: int) -> float:
        """Calls at least `age` minutes old; where they are known by the hour alone they count as even within it."""
        end = now - age + 1
        hour = end // HOUR * HOUR
        if age <= NEAR:
            return self.before(end)
        return self.before(hour) + (end - hour) / HOUR * (self.before(hour + HOUR) - self.before(hour))


def odds(calls: Calls, minute: int, shares: Shares, trials: int) -> float:
    """c_t: what arrives in `minute` of calls that all fail, over what arrives of calls that all succeed.

    What is far more `trials` than that is as much of either.
    """
    arriving = [0.0, 0.0]
    older = [calls.older(edge, minute) for edge in EDGES]
    for index in range(len(EDGES) - 1):
        made = older[index] - older[index + 1]
        for success in (False, True):
            arriving[success] += made * shares[success].get(index, 0.0) / (EDGES[index + 1] - EDGES[index])
    beyond = max(0.0, trials - 5 - 2 * max(arriving))
    failures, successes = arriving[0] + beyond, arriving[1] + beyond
    if failures + successes <= 0:
        return 1.0
    return min(max(failures / successes if successes > 0 else MOST, 1 / MOST), MOST)
