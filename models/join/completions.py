"""Turns what the second records of calls fill into differences, and into columns for the rows of these calls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from models.arrays import I32, I64, U32, U64
from models.join.arrivals import CallColumns
from models.join.call_places import CallPlaces
from models.join.contents import COST_BIT, LATENCY_BIT, TOKENS_BIT
from models.join.deltas import Deltas
from models.join.homonyms import Homonyms
from models.join.joined import Completed
from models.watermark import effective_minute

_US_PER_MS: Final = 1000


class Filled(NamedTuple):
    """Completions of one batch.

    Attributes:
        chosen: the records, as indices of the batch's calls.
        group: of the call that each completes.
        at: that call's time.
        minute: its effective minute.
        new: what each fills, as bits.
        unit: that of the call, see `models.join.units`; 0 for none.
        had: what the call had before, as bits.
        facets: those of the call, see `models.join.facets`; 0 for none.
    """

    chosen: I64
    group: I32
    at: I64
    minute: I32
    new: U32
    unit: U64
    had: U32
    facets: U32

    @classmethod
    def of(cls, rows: Sequence[tuple[int, ...]]) -> Filled:
        """Those of single records."""
        types = (np.int64, np.int32, np.int64, np.int32, np.uint32, np.uint64, np.uint32, np.uint32)
        columns = zip(*rows, strict=True) if rows else ((),) * len(types)
        return cls(*(np.array(column, kind) for column, kind in zip(columns, types, strict=True)))

    @classmethod
    def joined(cls, parts: Sequence[Filled]) -> Filled:
        """Those of all parts."""
        columns: tuple[Any, ...] = tuple(map(np.concatenate, zip(*parts, strict=True)))
        return cls(*columns)

    def takes_effect(self, calls: CallColumns) -> I32:
        """The minute from which on each counts."""
        if not len(self.chosen):
            return self.minute
        minute: I32 = np.maximum(effective_minute(calls.at[self.chosen], calls.wm[self.chosen]), self.minute)
        return minute


def filled_latency(own_ms: float, new: int, apart_us: int) -> float:
    """The latency that a record brings its call, which is `apart_us` from it; nan where it brings none."""
    if not new & LATENCY_BIT:
        return math.nan
    return abs(apart_us) / _US_PER_MS if math.isnan(own_ms) else own_ms


def complete(calls: CallColumns, filled: Filled, deltas: Deltas, homonyms: Homonyms) -> Completed:
    """Add the differences of completions; what they fill. A value counts once, with the time of its call."""
    chosen, at, new = filled.chosen, filled.at, filled.new
    own = calls.latency_ms[chosen]
    apart_ms = np.abs(calls.at[chosen] - at) / _US_PER_MS
    latency_ms = np.where(new & LATENCY_BIT, np.where(np.isnan(own), apart_ms, own), np.nan)
    cost_nano = np.where(new & COST_BIT, calls.cost_nano[chosen], -1)
    tokens = np.where(new & TOKENS_BIT, calls.tokens[chosen], -1)
    if len(chosen):
        minute = filled.takes_effect(calls)
        places, hashes = CallPlaces(filled.group, at, filled.minute), homonyms.hashes(calls.key[chosen])
        deltas.add_filled(places, minute, latency_ms, cost_nano, tokens, hashes)
    return Completed(calls.records[chosen], at, new, latency_ms)
