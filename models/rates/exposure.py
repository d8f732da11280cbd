"""Tells how many calls of which age each group had, window by window: what delay corrections are computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from aftercall.times import DAY_US, HOUR_US, MINUTE_US, MINUTES_PER_HOUR
from models.columns.keyed_sums import pack_key, unpack_key

if TYPE_CHECKING:
    from models.arrays import I64, U64
    from models.messages import Group
    from models.rates.tables import FrozenRates


class Exposure(NamedTuple):
    """Calls of all groups in windows that do not overlap, shape (n,), in the order (place of the group, time).

    Days, where their hours are kept no more; hours; and minutes of the newest hours, for which the middle of the hour
    would be too coarse.
    """

    place: dict[Group, int]
    key: U64
    """pack_key(place of the group, first minute of the window)."""
    calls: I64
    age_us: I64
    """All calls of a window are taken to lie in the middle of what has passed of it."""

    def between(self, place: I64, start: I64, end: I64) -> tuple[I64, I64]:
        """First and last + 1 of the windows of groups that begin in [start, end), minutes; shape (k,) each."""
        low = np.searchsorted(self.key, pack_key(place, start))
        return low, np.maximum(np.searchsorted(self.key, pack_key(place, end)), low)


def exposure(frozen: FrozenRates, as_of_us: int, known_until_us: int) -> Exposure:
    """The calls behind `rates`, at the ages they have at `known_until_us`. O(n log n) for n windows."""
    detail = max(as_of_us // HOUR_US - 1, frozen.minute_floor // MINUTES_PER_HOUR)
    parts = []
    for sums, width_us, least, most in (
        (frozen.sums.days, DAY_US, None, None),
        (frozen.sums.hours, HOUR_US, None, detail),
        (frozen.sums.minutes, MINUTE_US, detail * MINUTES_PER_HOUR, None),
    ):
        group, window, _ = unpack_key(sums.keys)
        calls = sums.columns[0].astype(np.int64)
        kept = calls > 0
        if least is not None:
            kept &= window >= least
        if most is not None:
            kept &= window < most
        start = window[kept] * width_us
        middle = (start + np.minimum(start + width_us, np.maximum(known_until_us, start))) // 2
        parts.append((group[kept], start // MINUTE_US, calls[kept], known_until_us - middle))
    group, minute, calls, age = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    key = pack_key(group, minute)
    order = np.argsort(key)
    place = {(task, model, config): at for at, (task, model, config, *_) in enumerate(frozen.names)}
    return Exposure(place, key[order], calls[order], age[order])
