"""What is kept of the weekly profiles of many series: the columns of the stored state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from aftercall.times import HOURS_PER_DAY, HOURS_PER_WEEK
from models.arrays import F64, I64

SHIFTS: I64 = np.array([0, -1, 1])
"""Hours by which a profile may be off; as it is first."""
PROFILE_HOURS: Final = HOURS_PER_WEEK + HOURS_PER_DAY
"""Hours of a week, and those of a holiday."""


class ProfileColumns(NamedTuple):
    """Columns; J is the number of ratios. Their names are the keys of the stored state."""

    events: F64
    """Per hour of the week, then of a holiday, older weeks discounted, shape (series, PROFILE_HOURS)."""
    exposure: F64
    r: F64
    """Shape (series, SHIFTS, J), and so on."""
    cusum: F64
    since: F64
    seen: F64
    foreseen: F64
    gain: F64
    evidence: F64
    day_due: F64
    """Shape (series, SHIFTS), and so on."""
    day_spread: F64
    lead: F64
    began: F64
    """Shape (series,), and so on."""
    day_events: F64
    hours_off: F64
    hours_scale: F64
    hours: F64
    repeated: F64
    level: F64
    days_off: F64
    days_scale: F64
    days: F64
    holidays: F64
    moved: F64
    phi: F64
    shape: F64
    mean: F64
    known: F64
    surely: F64
    empty: F64
    chance: F64
    crowds: F64
    fewer_most: F64
    more_most: F64
    held_off: F64
    """Of days that may belong to a fall: what `days_off` and so on have not taken yet."""
    held_scale: F64
    held_days: F64

    @classmethod
    def blank(cls, ratios: int) -> ProfileColumns:
        """No rows."""
        of_slots, of_ratios = np.zeros((0, PROFILE_HOURS)), np.zeros((0, len(SHIFTS), ratios))
        return cls(*(of_slots,) * 2, *(of_ratios,) * 7, *(np.zeros((0, len(SHIFTS))),) * 3, *(np.zeros(0),) * 25)

    @classmethod
    def beginning(cls, hour: int) -> ProfileColumns:
        """One row whose first event lies in `hour`."""
        start, one = np.array(float(hour)), np.ones(())
        return cls(*(np.zeros(()),) * 37)._replace(began=start, since=start, phi=one, shape=one, mean=one, known=one)

    @classmethod
    def stored(cls, state: Mapping[str, F64], ratios: int) -> ProfileColumns:
        """From a `state()`. An earlier version had fewer ratios and held no days: evidence for the last one begins."""
        rows = len(state["began"])
        columns = {name: np.zeros(rows) for name in ("held_off", "held_scale", "held_days")} | dict(state)
        missing = ratios - np.size(columns["r"], 2)
        if missing:
            room = np.zeros((rows, len(SHIFTS), missing))
            for name in ("r", "cusum", "seen", "foreseen", "gain", "evidence"):
                columns[name] = np.concatenate((columns[name], room), axis=2)
            columns["since"] = np.concatenate(
                (columns["since"], room + columns["since"].max(axis=2, keepdims=True)), axis=2
            )
        return cls(**columns)
