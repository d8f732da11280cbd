"""Corrects the success rate for delay: how many verdicts of either kind may be expected to have come by now.

Failures are often reported faster than successes, so what has come of young calls is another mix than what will come.
With n_u calls in hour u and a share g_y(d) of the verdicts of kind y (0 failure, 1 success) that take d hours, the
verdicts of kind y that have come by hour t, each weighed by the age of its own hour, are the share of y among calls
times

    E_y = sum over u of n_u w(t - u) sum over d <= t - u of g_y(d) / w(d),

w(a) = 2^(-a / half-life). `models.stats.delay_correction` makes a rate of counts and these. The g are learned per task
type over the buckets of `models.stats.minute_delays`, from calls of days that are old enough that their verdicts can be
in. Later ones than 72 h count as if they took 72 h, but where silence decides: its verdicts come at the horizon.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import HOURS_PER_DAY, MINUTES_PER_DAY, MINUTES_PER_HOUR
from models.arrays import F64, I64, Bools
from models.stats.minute_delays import BUCKETS, EDGES, HORIZON, MIDDLES

AT_HORIZON: Final = BUCKETS
"""The bucket of verdicts by silence."""
KINDS: Final = BUCKETS + 1
_ENOUGH: Final = 10.0
"""Verdicts that a task type's delays must rest on."""
_OTHER: Final = 10.0
"""Verdicts of one kind that their delays need to weigh as much as those of both kinds."""
_DAYS: Final = 28.0
"""Days after which a verdict's delay weighs 1/e."""
_HOURS: Final = HORIZON // MINUTES_PER_HOUR + 1


class Shares(NamedTuple):
    """Of the verdicts of each kind; axis 0: task type, axis 1: failure, success."""

    come: F64
    """Weighed by w(age) / w(delay): what calls of a column of hours before now add to E. Shape (tasks, 2, hours)."""
    spread: F64
    """Likewise the standard error of their plain share."""
    all: F64
    """The mean of 1 / w(delay), shape (tasks, 2)."""
    known: Bools
    """Shape (tasks,)."""


class VerdictDelays:
    """How long verdicts take, per task type: about 1 kB each, and as much for each day that is not old enough."""

    def __init__(self, half_life_hours: float, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance."""
        self._half_life = half_life_hours
        self._settled: F64 = np.zeros((0, 2, KINDS)) if state is None else state["settled"]
        self._silence: list[int] = [] if state is None else list(state["silence"])
        """Hours after which silence decides, 0 where it does not."""
        self._pending: dict[tuple[int, int], I64] = {} if state is None else dict(state["pending"])
        self._day = -1 if state is None else state["day"]
        self._shares: Shares | None = None

    def __len__(self) -> int:
        return len(self._silence)

    @property
    def hours(self) -> int:
        """Hours of calls whose verdicts may be still to come, the present one among them."""
        return max([_HOURS, *(hours + 1 for hours in self._silence)])

    def add_task(self, silence_hours: int) -> None:
        """A task type more."""
        self._silence.append(silence_hours)
        self._settled = np.concatenate((self._settled, np.zeros((1, 2, KINDS))))
        self._shares = None

    def add(self, task: int, minute: int, success: int, bucket: int, count: int) -> None:
        """Count verdicts of a minute; `bucket` in 0 .. `AT_HORIZON`."""
        late = self._silence[task] * MINUTES_PER_HOUR if bucket == AT_HORIZON else int(MIDDLES[bucket])
        counts = self._pending.setdefault((task, (minute - late) // MINUTES_PER_DAY), np.zeros((2, KINDS), np.int64))
        counts[success, bucket] += count

    def begin_day(self, day: int) -> None:
        """Learn from the calls of days that are old enough by the beginning of a day (UTC)."""
        if self._day >= 0:
            self._settled *= np.exp(-(day - self._day) / _DAYS)
        self._day = day
        for task, called in sorted(self._pending):
            wait = max(_HOURS, self._silence[task] + 1)
            if (called + 1) * HOURS_PER_DAY + wait <= day * HOURS_PER_DAY:
                self._settled[task] += self._pending.pop((task, called))
        self._shares = None

    def shares(self) -> Shares:
        """What may be expected to have come of calls of the last `hours`; the newest first."""
        if self._shares is None:
            self._shares = self._computed()
        return self._shares

    def _computed(self) -> Shares:
        both = self._settled.sum(axis=1, keepdims=True)
        drawn = self._settled + _OTHER * _normal(both)
        share = _normal(drawn)
        ages: F64 = np.arange(self.hours, dtype=np.float64) + 0.5
        into = np.stack([_come(ages * MINUTES_PER_HOUR, hours) for hours in self._silence] or [_none(len(ages))])
        late = np.stack([_late(hours) for hours in self._silence] or [np.zeros(KINDS)]) / MINUTES_PER_HOUR
        grown = 2 ** (late / self._half_life)
        weight = 2 ** (-np.arange(self.hours) / self._half_life)
        plain, weighed = np.zeros((2, len(share), 2, len(ages)))
        for at in range(KINDS):  # one product after the other: in an order that no shape changes
            step = share[:, :, at, None] * into[: len(share), None, :, at]
            plain += step
            weighed += step * grown[: len(share), None, at, None]
        rests_on = np.maximum(self._settled.sum(axis=2) + _OTHER, 1.0)[:, :, None]
        spread = np.sqrt(np.clip(plain * (1 - plain), 0.0, None) / rests_on)
        whole = np.cumsum(share * grown[: len(share), None], axis=2)[:, :, -1]
        return Shares(weighed * weight, spread * weight, whole, both.sum(axis=(1, 2)) >= _ENOUGH)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "settled": self._settled,
            "silence": self._silence,
            "pending": list(self._pending.items()),
            "day": self._day,
        }


def _late(silence_hours: int) -> F64:
    """Minutes that the verdicts of each bucket take, shape (KINDS,)."""
    return np.append(MIDDLES, float(silence_hours * MINUTES_PER_HOUR))


def _come(age_minutes: F64, silence_hours: int) -> F64:
    """The share of each bucket that has come by an age; a bucket's verdicts are spread evenly. Shape (n, KINDS)."""
    begins = np.append(EDGES, silence_hours * MINUTES_PER_HOUR)
    widths = np.append(np.diff(EDGES), (1, 1))
    come: F64 = np.clip((age_minutes[:, None] - begins) / widths, 0.0, 1.0)
    return come


def _none(hours: int) -> F64:
    return np.zeros((hours, KINDS))


def _normal(counts: F64) -> F64:
    sums = counts.sum(axis=-1, keepdims=True)
    shares: F64 = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
    return shares
