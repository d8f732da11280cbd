"""Sum differences per group and window of the call's time: the source of all rates.

Hours and days cover all of time; minutes only the last hours, for the spans that end within an hour. Sums of integers
only, so the state depends neither on the order of the differences nor on how they were cut into batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aftercall.times import HOURS_PER_DAY, MINUTES_PER_HOUR, NEVER
from models.columns.keyed_sums import KeyedSums, pack_key, unpack_key
from models.messages import CellDeltas, DelayDeltas, LatencyDeltas
from models.rates.floors import Floors
from models.rates.tables import FrozenRates, RateSums, delay_low, delay_side
from models.state import check_version
from models.stats import delay_distribution as delay
from models.stats import quantile_sketch as sketch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.arrays import I32, I64
    from models.rates.tables import RateName, RateTable

STATE_VERSION: Final = 2
_TOGETHER: Final = 1 << 15
"""Differences that wait until they are added together: many small messages cost as much as few large ones."""

_COUNTS: Final[tuple[type, ...]] = (np.int32, np.int32, np.int32, np.int32, np.int64)
"""calls, successes, failures, expired, cost in nano-dollars."""

_DTYPES: Final = RateSums(
    minutes=_COUNTS,
    hours=_COUNTS,
    days=_COUNTS,
    latency_minutes=(np.int32,),
    latency_hours=(np.int32,),
    latency_days=(np.int64,),
    delays=(np.int32,),
    delay_days=(np.int32,),
)


class RateCells:
    """Per-(group, window) sums of calls, verdicts, cost, latency and delay.

    Memory: about 45 bytes per (group, hour) and per (group, hour, latency bucket); about 25 per (group, verdict, delay
    bucket) of each of the last 72 hours and of each day of the 126 before.
    """

    def __init__(self) -> None:
        self._names: list[RateName] = []
        self._gid: dict[RateName, int] = {}
        self._sums = RateSums(*(KeyedSums(dtypes) for dtypes in _DTYPES))
        self._history: I64 = np.zeros((0, 2, delay.DELAY_BUCKETS), np.int64)
        self._watermark = NEVER
        self._floors = Floors()
        self._waiting: list[tuple[I32, CellDeltas, LatencyDeltas, DelayDeltas]] = []
        self._rows_waiting = 0

    def __len__(self) -> int:
        """Number of (group, minute, hour or day) cells."""
        self._add_waiting()
        return len(self._sums.minutes) + len(self._sums.hours) + len(self._sums.days)

    def apply(
        self, names: Sequence[RateName], cells: CellDeltas, latencies: LatencyDeltas, delays: DelayDeltas
    ) -> None:
        """Add one message's differences; its codes index `names`."""
        self._waiting.append((self._gids(names).astype(np.int32), cells, latencies, delays))
        self._rows_waiting += len(cells.code) + len(latencies.code) + len(delays.code)
        if self._rows_waiting >= _TOGETHER:
            self._add_waiting()

    def advance(self, watermark: int, newest_call: int) -> None:
        """Drop the minutes that no later table needs, and join the cohorts of delays that none distinguishes.

        Args:
            watermark: µs, or `NEVER`; never falls.
            newest_call: Time of the newest call in µs, or `NEVER`.
        """
        self._watermark = max(self._watermark, watermark)
        rise = self._floors.advance(watermark, newest_call)
        if any(rise):
            self._add_waiting()
        if rise.minute:
            for table, bits in ((self._sums.minutes, 0), (self._sums.latency_minutes, sketch.VALUE_KEY_BITS)):
                table.pop(unpack_key(table.sums(copy=False).keys, bits)[1] < self._floors.minute)
        if rise.delay_day:
            self._join_hours_of_delays()
        if rise.release:
            self._release_days_of_delays()

    def forget_hours(self, before_us: int) -> None:
        """Fold the hours of the full days (UTC) before a time: their hourly rates go, the daily ones stay.

        Those stay that the current rates of seven days need.
        """
        if not self._floors.forget_hours(before_us):
            return
        self._add_waiting()
        for hours, days, bits in (
            (self._sums.hours, self._sums.days, 0),
            (self._sums.latency_hours, self._sums.latency_days, sketch.VALUE_KEY_BITS),
        ):
            old = hours.pop(unpack_key(hours.sums(copy=False).keys, bits)[1] < self._floors.hour)
            group, hour, low = unpack_key(old.keys, bits)
            days.add(pack_key(group, hour // HOURS_PER_DAY, low, bits), *old.columns)

    def frozen(self) -> FrozenRates:
        """A consistent copy for another thread: one memory copy, no computation."""
        return self._frozen(copy=True)

    def tables(self, as_of_us: int, *, live: bool) -> tuple[RateTable, RateTable]:
        """The columns of `rates` and `current_rates`; see `FrozenRates.tables`."""
        return self._frozen(copy=False).tables(as_of_us, live=live)

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays; not a copy."""
        frozen = self._frozen(copy=False)
        return {
            "version": STATE_VERSION,
            "names": frozen.names,
            **{name: sums.stored() for name, sums in frozen.sums._asdict().items()},
            "history": frozen.history,
            "watermark": self._watermark,
            **self._floors.state(),
        }

    @classmethod
    def from_state(cls, stored: dict[str, Any]) -> RateCells:
        """The cells that `stored`, a `state()`, was made from.

        Raises:
            StateError: The state has another version.
        """
        check_version(stored, "rates", STATE_VERSION)
        cells = cls()
        cells._gids([tuple(name) for name in stored["names"]])
        kept = _DTYPES._asdict().items()
        cells._sums = RateSums(*(KeyedSums.from_stored(dtypes, stored[name]) for name, dtypes in kept))
        cells._history = np.array(stored["history"], np.int64)
        cells._watermark, cells._floors = stored["watermark"], Floors.from_state(stored)
        return cells

    def _frozen(self, *, copy: bool) -> FrozenRates:
        self._add_waiting()
        return FrozenRates(
            names=list(self._names),
            sums=RateSums(*(table.sums(copy=copy) for table in self._sums)),
            history=self._history[: len(self._names)].copy(),
            watermark=self._watermark,
            minute_floor=self._floors.minute,
        )

    def _gids(self, names: Sequence[RateName]) -> I64:
        for name in names:
            if name not in self._gid:
                self._gid[name] = len(self._names)
                self._names.append(name)
        if len(self._names) > len(self._history):
            grown = np.zeros((max(64, 2 * len(self._names)), 2, delay.DELAY_BUCKETS), np.int64)
            grown[: len(self._history)] = self._history
            self._history = grown
        return np.fromiter((self._gid[name] for name in names), np.int64, len(names))

    def _add_waiting(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        cells = CellDeltas(*_together([cells._replace(code=gid[cells.code]) for gid, cells, _, _ in waiting]))
        latencies = LatencyDeltas(*_together([seen._replace(code=gid[seen.code]) for gid, _, seen, _ in waiting]))
        delays = DelayDeltas(*_together([late._replace(code=gid[late.code]) for gid, _, _, late in waiting]))
        counts = (cells.calls, cells.successes, cells.failures, cells.expired, cells.cost_nano)
        sums = self._sums
        _spread(cells.code, cells.minute.astype(np.int64), counts, (sums.minutes, sums.hours, sums.days), self._floors)
        seen = latencies.bucket >= 0
        _spread(
            latencies.code[seen],
            latencies.minute[seen].astype(np.int64),
            (latencies.count[seen],),
            (sums.latency_minutes, sums.latency_hours, sums.latency_days),
            self._floors,
            (latencies.bucket[seen], sketch.VALUE_KEY_BITS),
        )
        self._add_delays(delays.code, delays)

    def _add_delays(self, group: NDArray[np.integer], delays: DelayDeltas) -> None:
        """To the hour of the call while that is young, then to its day, then to the history without a time."""
        hour, low = delays.hour.astype(np.int64), delay_low(delays.success, delays.bucket)
        day = hour // HOURS_PER_DAY
        young, old = day >= self._floors.delay_day, day < self._floors.release
        middle = ~young & ~old
        self._sums.delays.add(
            pack_key(group[young], hour[young], low[young], delay.DELAY_KEY_BITS), delays.count[young]
        )
        self._sums.delay_days.add(
            pack_key(group[middle], day[middle], low[middle], delay.DELAY_KEY_BITS), delays.count[middle]
        )
        self._release(group[old], low[old], delays.count[old])

    def _join_hours_of_delays(self) -> None:
        """Fold hours before the floor into days."""
        hours = unpack_key(self._sums.delays.sums(copy=False).keys, delay.DELAY_KEY_BITS)[1]
        held = self._sums.delays.pop(hours < self._floors.delay_day * HOURS_PER_DAY)
        group, hour, low = unpack_key(held.keys, delay.DELAY_KEY_BITS)
        self._sums.delay_days.add(pack_key(group, hour // HOURS_PER_DAY, low, delay.DELAY_KEY_BITS), *held.columns)

    def _release_days_of_delays(self) -> None:
        """Fold days before the floor into the history."""
        days = unpack_key(self._sums.delay_days.sums(copy=False).keys, delay.DELAY_KEY_BITS)[1]
        held = self._sums.delay_days.pop(days < self._floors.release)
        group, _, low = unpack_key(held.keys, delay.DELAY_KEY_BITS)
        self._release(group, low, held.columns[0])

    def _release(self, group: NDArray[np.integer], low: I64, count: NDArray[np.integer]) -> None:
        np.add.at(self._history, (group, *delay_side(low)), count)


def _together(parts: list[Any]) -> list[Any]:
    """The columns of all parts, joined."""
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _spread(
    group: NDArray[np.integer],
    minute: I64,
    values: tuple[Any, ...],
    tables: tuple[KeyedSums, KeyedSums, KeyedSums],
    floors: Floors,
    low: tuple[Any, int] | None = None,
) -> None:
    """Add values to the minute where it is kept, and to the hour, or to the day where the hour is kept no more."""
    minutes, hours, days = tables
    part, bits = low if low is not None else (np.zeros(len(group), np.int64), 0)
    hour = minute // MINUTES_PER_HOUR
    recent, old = minute >= floors.minute, hour < floors.hour
    for table, window, chosen in (
        (minutes, minute, recent),
        (hours, hour, ~old),
        (days, hour // HOURS_PER_DAY, old),
    ):
        if chosen.all():
            table.add(pack_key(group, window, part, bits), *values)
        elif chosen.any():
            table.add(pack_key(group[chosen], window[chosen], part[chosen], bits), *(value[chosen] for value in values))
