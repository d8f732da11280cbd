"""Counts the failed attempts of calls: rows of their own, decided at once, that hold nothing and take no outcomes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from models.join.arrivals import AttemptRecord, CallColumns
from models.join.call_places import CallPlaces
from models.join.completions import Filled
from models.join.contents import ATTEMPTS_BIT
from models.join.deltas import Deltas
from models.join.joined import AttemptRow
from models.join.shard_state import ShardState
from models.join.strata import Stratum
from models.messages import Group
from models.watermark import effective_minute

_NANO: Final = 1e9
_ALL_BITS: Final = 2**64 - 1


def try_all(shard: ShardState, calls: CallColumns, parts: Sequence[Filled], deltas: Deltas) -> list[AttemptRow]:
    """Add the differences of the attempts that records brought; a row each. O(attempts), and O(n) to find them.

    Args:
        shard: learns their groups.
        calls: of the batch.
        parts: of accepted calls and of completions, what they fill.
        deltas: gets the differences.
    """
    columns: tuple[Any, ...] = tuple(map(np.concatenate, zip(*parts, strict=True)))
    filled = Filled(*columns)
    (tried,) = (filled.new & ATTEMPTS_BIT).nonzero()
    if not len(tried):
        return []
    rows, names, found = list[AttemptRow](), list[Group | Stratum](), []
    chosen = filled.chosen[tried]
    minute = np.maximum(effective_minute(calls.at[chosen], calls.wm[chosen]), filled.minute[tried])
    columns = (
        filled.group[tried],
        filled.at[tried],
        filled.minute[tried],
        minute,
        filled.unit[tried],
        filled.facets[tried],
    )
    hashes = shard.homonyms.hashes(calls.key[chosen]).tolist()
    for record, group, *place, hash_ in zip(
        calls.records[chosen], *(column.tolist() for column in columns), hashes, strict=True
    ):
        parent, segment = shard.groups[group], shard.segments[group]
        for number, attempt in _failed(record.attempts):
            name = parent[0], attempt.model, parent[2] if attempt.config is None else attempt.config
            values = attempt.latency_ms, attempt.cost_usd, attempt.error or ""
            rows.append(AttemptRow(record.call_id, place[0], number, name, *values))
            names.append(Stratum(name, segment) if segment else name)
            found.append((*place, (hash_ + number) & _ALL_BITS))
    if rows:
        _add(shard, rows, names, found, deltas)
    return rows


def _add(
    shard: ShardState,
    rows: list[AttemptRow],
    names: list[Group | Stratum],
    found: list[tuple[int, ...]],
    deltas: Deltas,
) -> None:
    """Their differences; `found`: time and minute of the call, minute of the attempt, unit, facets and key."""
    at, call_minute, minute, unit, facets, key = zip(*found, strict=True)
    distinct = list(dict.fromkeys(names))
    codes = dict(zip(distinct, shard.learn_groups(distinct).tolist(), strict=True))
    group = np.array([codes[name] for name in names], np.int32)
    cost_usd = np.array([row.cost_usd for row in rows], np.float64)
    minutes, rare = np.array(call_minute, np.int32), (np.array(unit, np.uint64), np.array(facets, np.uint32))
    places = CallPlaces(group, np.array(at, np.int64), minutes, *rare)
    now = np.array(minute, np.int32)
    deltas.add_calls(
        places,
        now,
        np.array([row.latency_ms for row in rows], np.float64),
        np.where(np.isnan(cost_usd), -1, np.rint(cost_usd * _NANO)).astype(np.int64),
        np.full(len(rows), -1, np.int64),
        np.array(key, np.uint64),
    )
    deltas.add_attempts(places, now, [row.error for row in rows])


def _failed(attempts: Sequence[AttemptRecord]) -> Iterator[tuple[int, AttemptRecord]]:
    """Those with an error, with their places in the list from 1: one without is the answer itself, or unknown."""
    return ((number, attempt) for number, attempt in enumerate(attempts, 1) if attempt.error is not None)
