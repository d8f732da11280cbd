"""Keeps the differences of calls that came late apart from those of others, under codes of their own.

Whether a late call says something about the present is for the group step to decide: it knows how late the calls of a
group usually come. So what detectors read is summed per group and class of lateness.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from aftercall.times import MINUTE_US, MINUTES_PER_HOUR
from models.arrays import I32, I64
from models.join.call_places import CallPlace, CallPlaces
from models.stats.lateness import IN_TIME, lateness

_STRIDE: Final = 1 << 24
"""More groups than a shard has."""


def coded(calls: CallPlaces) -> I32:
    """The group of each call, or where it came late a code of group and class."""
    group, minutes = calls.group, calls.minute - calls.at // MINUTE_US
    late = lateness(minutes) if (minutes > MINUTES_PER_HOUR).any() else None
    return group if late is None else group + late * np.int32(_STRIDE)


def coded_one(call: CallPlace) -> int:
    """The same of one call."""
    (late,) = lateness(np.array([call.minute - call.at // MINUTE_US])).tolist()
    return call.group + int(late) * _STRIDE


def has_late(codes: I32) -> bool:
    """Whether some of these codes, at least one, are of late calls."""
    return int(np.maximum.reduce(codes)) >= _STRIDE


def uncoded(count: int, columns: list[I32]) -> tuple[I64, tuple[int, ...], list[I32]]:
    """Codes of `count` groups and of late calls in them, numbered as places.

    Returns:
        The group of each place: of the groups themselves the first `count`; the class of each, empty where all came in
        time; and the columns as places.
    """
    groups = np.arange(count)
    late = [column[column >= _STRIDE] for column in columns]
    if not any(map(len, late)):
        return groups, (), columns
    codes = np.unique(np.concatenate(late))
    places = [
        np.where(column < _STRIDE, column, count + np.searchsorted(codes, column)).astype(np.int32)
        for column in columns
    ]
    return np.append(groups, codes % _STRIDE), (*(IN_TIME,) * count, *(codes // _STRIDE).tolist()), places
