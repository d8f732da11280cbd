"""Sum the opinions of sources per group and window of the call's time: the source of all rates of sources.

What a source says of a call is in one cell at a time. Of young calls it is that of (group, source, minute, success,
delay bucket); these join the cells of hours once no table needs the minutes, and those of days once no delay
distribution needs the hours. What is left then of an hour are its counts. So a new opinion touches one cell. Sums of
integers only, so the state depends neither on the order of the differences nor on how they were cut into batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple

import numpy as np

from aftercall.times import HOURS_PER_DAY, MINUTES_PER_HOUR
from models.columns.keyed_sums import KeyedSums, Sums, pack_key, unpack_key
from models.rates.floors import Floors
from models.rates.tables import Table, delay_low, delay_side
from models.state import check_version
from models.stats import delay_distribution as delay

if TYPE_CHECKING:
    from models.arrays import I32, I64, U64, Bools
    from models.messages import Group, OpinionDeltas

_STATE_VERSION: Final = 1
_TOGETHER: Final = 1 << 15
"""Differences that wait until they are added together: many small messages cost as much as few large ones."""
_BITS: Final = delay.DELAY_KEY_BITS


class SourceSums(NamedTuple, Generic[Table]):
    """The sums, as growing tables or as plain arrays; the names are keys of the stored state.

    The key of all is (pair of group and source, window, low); the low part of the first four is that of
    `tables.delay_low`.
    """

    minutes: Table
    """Of calls of the last hours."""
    hours: Table
    """Of calls of the last days."""
    delay_days: Table
    """Delays of older ones, until no bucket distinguishes their ages."""
    delays_gone: Table
    """Those of the oldest, whose time is not kept: window 0."""
    hour_counts: Table
    """Successes and failures of the calls of `delay_days` and `delays_gone`, by hour."""
    day_counts: Table
    """The same by day, where the hour is kept no more."""


_COUNT: Final[tuple[type, ...]] = (np.int32,)
_COUNTS: Final[tuple[type, ...]] = (np.int32, np.int32)
_DTYPES: Final = SourceSums(_COUNT, _COUNT, _COUNT, (np.int64,), _COUNTS, _COUNTS)


class FrozenSources(NamedTuple):
    """The sums of a `SourceCells` at one instant. The keys' first part indexes `pairs`."""

    pairs: list[tuple[Group, str]]
    sums: SourceSums[Sums]
    hour_floor: int
    """Hours before it are counted by day only."""


class SourceCells:
    """Per-(group, source, window) sums of opinions and their delays.

    Memory: about 25 bytes per (group, source, verdict, delay bucket) of each of the last 120 minutes, of each of the
    last 72 hours and of each day of the 126 before; about 30 per (group, source, hour).
    """

    def __init__(self) -> None:
        self._pairs: list[tuple[Group, str]] = []
        self._number: dict[tuple[Group, str], int] = {}
        self._sums = SourceSums(*(KeyedSums(dtypes) for dtypes in _DTYPES))
        self._floors = Floors()
        self._waiting: list[tuple[I32, OpinionDeltas]] = []
        self._rows_waiting = 0

    def apply(self, names: list[Group], sources: list[str], opinions: OpinionDeltas) -> None:
        """Add one message's differences; its codes index `names` and `sources`. O(n + pairs)."""
        place = opinions.code * np.int32(len(sources)) + opinions.source
        used = np.zeros(len(names) * len(sources), np.bool_)
        used[place] = True
        pair_of = np.zeros(len(used), np.int32)
        for at in used.nonzero()[0].tolist():
            pair_of[at] = self._pair(names[at // len(sources)], sources[at % len(sources)])
        self._waiting.append((pair_of[place], opinions))
        self._rows_waiting += len(place)
        if self._rows_waiting >= _TOGETHER:
            self._add_waiting()

    def advance(self, watermark: int, newest_call: int) -> None:
        """Join the minutes that no later table needs, and the hours and days that no delay distribution does.

        Args:
            watermark: µs, or `NEVER`; never falls.
            newest_call: Time of the newest call in µs, or `NEVER`.
        """
        if not any(self._floors.advance(watermark, newest_call)):
            return
        self._add_waiting()
        sums = self._sums
        for table, floor, width in (
            (sums.minutes, self._floors.minute, 1),
            (sums.hours, self._floors.delay_day * HOURS_PER_DAY, MINUTES_PER_HOUR),
        ):
            pair, window, low, count = _popped(table, floor)
            self._add(pair, window * width, low, count)
        pair, _, low, count = _popped(sums.delay_days, self._floors.release)
        sums.delays_gone.add(pack_key(pair, np.zeros_like(pair), low, _BITS), count)

    def forget_hours(self, before_us: int) -> None:
        """Fold the hours of the full days (UTC) before a time, as those of verdicts are."""
        if not self._floors.forget_hours(before_us):
            return
        self._add_waiting()
        hours = self._sums.hour_counts
        old = hours.pop(unpack_key(hours.sums(copy=False).keys)[1] < self._floors.hour)
        pair, hour, _ = unpack_key(old.keys)
        self._sums.day_counts.add(pack_key(pair, hour // HOURS_PER_DAY), *old.columns)

    def frozen(self) -> FrozenSources:
        """A consistent copy for another thread: one memory copy, no computation."""
        return self._frozen(copy=True)

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays; not a copy."""
        frozen = self._frozen(copy=False)
        return {
            "version": _STATE_VERSION,
            "pairs": [(*group, source) for group, source in frozen.pairs],
            **{name: sums.stored() for name, sums in frozen.sums._asdict().items()},
            **self._floors.state(),
        }

    @classmethod
    def from_state(cls, stored: dict[str, Any]) -> SourceCells:
        """The cells that `stored`, a `state()`, was made from.

        Raises:
            StateError: The state has another version.
        """
        check_version(stored, "source rates", _STATE_VERSION)
        cells = cls()
        for task_type, model, config, source in stored["pairs"]:
            cells._pair((task_type, model, config), source)
        kept = _DTYPES._asdict().items()
        cells._sums = SourceSums(*(KeyedSums.from_stored(dtypes, stored[name]) for name, dtypes in kept))
        cells._floors = Floors.from_state(stored)
        return cells

    def _pair(self, group: Group, source: str) -> int:
        number = self._number.setdefault((group, source), len(self._pairs))
        if number == len(self._pairs):
            self._pairs.append((group, source))
        return number

    def _frozen(self, *, copy: bool) -> FrozenSources:
        self._add_waiting()
        return FrozenSources(
            list(self._pairs), SourceSums(*(table.sums(copy=copy) for table in self._sums)), self._floors.hour
        )

    def _add_waiting(self) -> None:
        if not self._waiting:
            return
        waiting, self._waiting, self._rows_waiting = self._waiting, [], 0
        pair = np.concatenate([pairs for pairs, _ in waiting]).astype(np.int64)
        minute, success, bucket, sign = (
            np.concatenate([getattr(opinions, name) for _, opinions in waiting])
            for name in ("minute", "success", "bucket", "sign")
        )
        self._add(pair, minute.astype(np.int64), delay_low(success, bucket), sign.astype(np.int32))

    def _add(self, pair: I64, minute: I64, low: I64, count: I32) -> None:
        """To the minute of the call while that is young, then to its hour, then to its day and its counts."""
        is_young = minute >= self._floors.minute
        _put(self._sums.minutes, pair, minute, low, count, is_young)
        if is_young.all():
            return
        hour = minute // MINUTES_PER_HOUR
        day = hour // HOURS_PER_DAY
        is_old = ~is_young & (day < self._floors.delay_day)
        _put(self._sums.hours, pair, hour, low, count, ~is_young & ~is_old)
        _put(self._sums.delay_days, pair, day, low, count, is_old & (day >= self._floors.release))
        _put(self._sums.delays_gone, pair, np.zeros_like(day), low, count, is_old & (day < self._floors.release))
        self._add_counts(pair[is_old], hour[is_old], low[is_old], count[is_old])

    def _add_counts(self, pair: I64, hour: I64, low: I64, count: I32) -> None:
        good = delay_side(low)[0].astype(np.int32)
        counts = (count * good, count * (1 - good))
        kept = hour >= self._floors.hour
        self._sums.hour_counts.add(pack_key(pair[kept], hour[kept]), *(column[kept] for column in counts))
        gone = pack_key(pair[~kept], hour[~kept] // HOURS_PER_DAY)
        self._sums.day_counts.add(gone, *(column[~kept] for column in counts))


def _put(table: KeyedSums, pair: I64, window: I64, low: I64, count: I32, chosen: Bools) -> None:
    """Add the chosen rows."""
    if chosen.all():
        table.add(pack_key(pair, window, low, _BITS), count)
    elif chosen.any():
        table.add(pack_key(pair[chosen], window[chosen], low[chosen], _BITS), count[chosen])


def _popped(table: KeyedSums, floor: int) -> tuple[I64, I64, I64, I32]:
    """The cells of windows before one, which leave the table: pair, window, low part, count."""
    keys: U64 = table.sums(copy=False).keys
    popped = table.pop(unpack_key(keys, _BITS)[1] < floor)
    return *unpack_key(popped.keys, _BITS), popped.columns[0]
