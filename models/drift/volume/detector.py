"""Alerts on how much arrives: opened where it stays away or multiplies, closed when it is back or has become normal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.records import Alert, Direction, Severity
from aftercall.times import HOUR_US, HOURS_PER_DAY
from models.alarms.alarm import Alarm, Watched
from models.alarms.book import AlertBook
from models.alarms.phrases import utc_text
from models.arrays import F64, I64, Bools
from models.drift.volume.silence import Quiet
from models.drift.volume.weekly_profile import FEWER, MORE, HourOfWeek
from models.stats.chi_square import chi_square_quantile

FORGOTTEN: Final = 28 * HOURS_PER_DAY
"""Hours without an event after which a watch is given up."""
BACK: Final = 5.0
"""Logarithm of the likelihood ratio, since the trouble was at its worst, that says it is over."""
HEARD: Final = 3
"""Hours with events that say so while no profile is known."""
SILENT: Final = 0.05
"""Of what is expected; a fall below is critical."""
_LEVEL = 0.99


class Found(NamedTuple):
    """What is to be told of one watch: `seen` events where `foreseen` were expected, from hour `since` on."""

    direction: Direction
    since: float
    seen: float
    foreseen: float
    mean_r: float | None
    """None where no profile is known, and no promise made."""


class Telling(NamedTuple):
    """How a watch is told of: `baseline` in `unit`, which `seen / foreseen` multiplies."""

    watched: Watched
    baseline: float
    unit: str


class ArrivalWatch:
    """Many watches of one kind, told apart by `keys`; `step` takes each hour in turn."""

    def __init__(
        self, *, more: bool, new_normal_after_us: int, promise: str, state: dict[str, Any] | None = None
    ) -> None:
        """Start without watches, or from a `state()`.

        Args:
            more: whether too much is looked for too.
            new_normal_after_us: an alert open so long is closed, and its watch learned anew.
            promise: the sentence that alerts of a known profile carry.
            state: of another instance.
        """
        self._after = new_normal_after_us // HOUR_US
        self._promise = promise
        kept = state or {"keys": [], "profile": None, "quiet": None, "book": None}
        self.keys: list[tuple[str, ...]] = kept["keys"]
        self._profile = HourOfWeek(np.concatenate((FEWER, MORE)) if more else FEWER, kept["profile"])
        self._quiet = Quiet(kept["quiet"])
        self._book = AlertBook(new_normal_after_us, kept["book"])
        none = np.zeros(0)
        self._open: F64 = kept.get("open", none)
        """-1 fewer, 1 more, 0 no alert."""
        self._opened: F64 = kept.get("opened", none)
        self._back: F64 = kept.get("back", none)
        self._threshold: F64 = kept.get("threshold", none)

    def __len__(self) -> int:
        return len(self.keys)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "keys": self.keys,
            "profile": self._profile.state(),
            "quiet": self._quiet.state(),
            "book": self._book.state(),
            "open": self._open,
            "opened": self._opened,
            "back": self._back,
            "threshold": self._threshold,
        }

    @property
    def learning(self) -> Bools:
        """Whose history tells what is normal: those without an alert."""
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
        """Events an hour so far, shape (watches,)."""
        return self._quiet.seen / np.maximum(hour - self._profile.began, 1.0)

    def given_up(self, hour: int) -> Bools:
        """Who has been without events, and without an alert, for too long."""
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
        """Rows whose alert becomes normal at the end of `hour`; they start afresh. Ask before `step`."""
        rows = np.flatnonzero((self._open != 0) & (hour + 1 - self._opened >= self._after))
        self._profile.relearn(rows, hour)
        self._quiet.relearn(rows, hour)
        self._open[rows] = 0.0
        return rows

    def step(self, hour: int, events: F64, exposure: F64, usual: F64) -> list[tuple[int, Found]]:
        """One hour of all watches, arrays of shape (watches,).

        Args:
            hour: since 1970 UTC, one more than the last time.
            events: that arrived.
            exposure: as `models.drift.volume.weekly_profile` takes it.
            usual: events due while no profile is known.

        Returns:
            Row and finding of each to tell of, alarms and returns to normal.
        """
        learning, foreseen = self.learning, self._profile.due(hour, exposure)
        before = self._profile.evidence.copy()
        r = self._profile.step(hour, events, exposure, learning)
        known = self._profile.known(hour)
        silent = self._quiet.step(hour, events, np.where(known, foreseen, usual), learning) & ~known & learning
        few = len(FEWER)
        fewer = r[:, :few].mean(axis=1)
        more = r[:, few:].mean(axis=1) if r.shape[1] > few else np.zeros(len(r))
        alarmed = learning & (np.maximum(fewer, more) >= self._threshold)
        found: list[tuple[int, Found]] = []
        for row in np.flatnonzero(alarmed).tolist():
            direction: Direction = "down" if fewer[row] >= more[row] else "up"
            j = int(np.argmax(r[row, :few])) if direction == "down" else few + int(np.argmax(r[row, few:]))
            p = self._profile
            if not _plain(direction, p.seen[row, j], p.foreseen[row, j]):
                p.clear(row, hour)
                continue
            seen = Found(
                direction, p.since[row, j], p.seen[row, j], p.foreseen[row, j], float(max(fewer[row], more[row]))
            )
            found.append((row, seen))
            self._begin(row, hour, direction)
        for row in np.flatnonzero(silent).tolist():
            found.append((row, Found("down", self._quiet.last[row] + 1, 0.0, self._quiet.due[row], None)))
            self._begin(row, hour, "down")
        return found + self._over(hour, events, foreseen, known, before, ~learning)

    def book(self, found: list[tuple[int, Found]], told: list[Telling], hour: int) -> list[Alert]:
        """The alerts of what `step` returned, and of those that have become normal."""
        at = (hour + 1) * HOUR_US
        alerts = self._book.expire(at)
        for (_, seen), telling in zip(found, told, strict=True):
            alerts.append(self._book.raise_alarm(_alarm(at, seen, telling, self._promise)))
        return alerts

    def _begin(self, row: int, hour: int, direction: Direction) -> None:
        self._open[row] = -1.0 if direction == "down" else 1.0
        self._opened[row], self._back[row] = hour + 1, 0.0

    def _over(
        self, hour: int, events: F64, foreseen: F64, known: Bools, before: F64, opened: Bools
    ) -> list[tuple[int, Found]]:
        """Open alerts whose trouble is over."""
        few = len(FEWER)
        found: list[tuple[int, Found]] = []
        for row in np.flatnonzero(opened).tolist():
            down = self._open[row] < 0
            nearest = few - 1 if down else few
            if known[row]:
                change = self._profile.evidence[row, nearest] - before[row, nearest]
                self._back[row] = max(0.0, self._back[row] - change)
                over = self._back[row] >= BACK
            else:
                self._back[row] += events[row] > 0
                over = self._back[row] >= HEARD
            if over:
                direction: Direction = "up" if down else "down"
                found.append((row, Found(direction, hour, events[row], foreseen[row], None)))
                self._open[row] = 0.0
                self._profile.clear(row, hour)
        return found


def _plain(direction: Direction, seen: float, foreseen: float) -> bool:
    """Whether there are half as many, or twice: after a flood the rest of the day is but less than the flood was."""
    return 2 * seen <= foreseen if direction == "down" else seen >= 2 * foreseen


def _alarm(at: int, found: Found, telling: Telling, promise: str) -> Alarm:
    direction, since, seen, foreseen, mean_r = found
    expected = max(foreseen, 1e-9)
    times = seen / expected
    low = chi_square_quantile((1 - _LEVEL) / 2, 2 * seen) / 2 / expected if seen > 0 else 0.0
    high = chi_square_quantile((1 + _LEVEL) / 2, 2 * seen + 2) / 2 / expected
    severity: Severity = "critical" if direction == "down" and times <= SILENT else "warning"
    verb = "fell" if direction == "down" else "rose"
    base = telling.baseline
    finding = (
        f"{verb} to {base * times:.3g} {telling.unit} where {base:.3g} were expected "
        f"({seen:,.0f} of about {foreseen:,.0f}) since about {utc_text(int(since) * HOUR_US)}"
    )
    evidence = {"seen": seen, "expected": foreseen}
    return Alarm(
        at=at,
        watched=telling.watched,
        direction=direction,
        severity=severity,
        baseline=base,
        current=base * times,
        effect_low=base * (low - 1),
        effect_high=base * (high - 1),
        changed_at=int(since) * HOUR_US,
        promise=None if mean_r is None else promise,
        finding=finding,
        evidence=evidence if mean_r is None else evidence | {"mean_r": mean_r},
        origin=(base,),
    )
