"""Puts changes of a shard behind its stored state: the newest row of each call counts, and calls that are gone go.

All works on stored values, so that states of earlier versions are merged before they are migrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

import numpy as np

from models.arrays import I64
from models.columns.hash_index import HashIndex
from models.columns.id_column import TEXT

State = dict[str, Any]


def merged_shard(state: State, changes: Sequence[State]) -> State:
    """The state after `changes`, of `Join.changes`, in order. O(n log n) for n rows in all.

    Raises:
        LookupError, TypeError, ValueError: this is not what a join has stored.
    """
    if not changes:
        return state
    parts = [state, *changes]
    waiting = dict(chain.from_iterable(part["waiting"] for part in parts))
    return {
        **changes[-1],
        "groups": tuple(chain.from_iterable(part["groups"] for part in parts)),
        "held": _held([part["held"] for part in parts]),
        "waiting": tuple((key, outcomes) for key, outcomes in waiting.items() if outcomes),
    }


def _held(parts: list[State]) -> State:
    rows = _newest(parts)
    calls = [part["calls"] for part in parts]
    has_single, singles = _places(parts, rows)
    return {
        "keys": np.concatenate([part["keys"] for part in parts])[rows],
        "calls": {
            **_chosen([_columns(part) for part in calls], rows),
            "ids": _ids([part["ids"] for part in calls], rows),
        },
        "has_single": has_single.astype(np.int32),
        "singles": _chosen([part["singles"] for part in parts], singles),
        "reasons": _by_place(parts, "reasons", [len(part["has_single"]) for part in parts], singles),
        "cases": _by_place(parts, "cases", [len(part["keys"]) for part in parts], rows),
        "sources": tuple(chain.from_iterable(part["sources"] for part in parts)),
    }


def _newest(parts: list[State]) -> I64:
    """Rows, among those of all parts one after the other, that are each call's newest and not gone."""
    base, changes = parts[0]["keys"], parts[1:]
    events = [array for part in changes for array in (part["gone"], part["keys"])]
    keys = np.concatenate(events)
    changed, last = np.unique(keys[::-1], return_index=True)
    newest = np.zeros(len(keys), np.bool_)
    newest[len(keys) - 1 - last] = True
    held = np.concatenate([np.full(len(array), at % 2 == 1) for at, array in enumerate(events)])
    # Most calls have not changed: to look them up among those that have is faster than to sort them too.
    index = HashIndex(len(changed))
    index.insert(changed, np.arange(len(changed), dtype=np.int32))
    return np.concatenate((np.flatnonzero(index.find(base) < 0), len(base) + np.flatnonzero(newest[held])))


def _places(parts: list[State], rows: I64) -> tuple[I64, I64]:
    """Which of `rows` have a single statement, and where these statements lie among those of all parts."""
    first = [0, *accumulate(len(part["keys"]) for part in parts)]
    place = np.full(first[-1], -1, np.int64)
    owners = np.concatenate([part["has_single"] + start for part, start in zip(parts, first, strict=False)])
    place[owners] = np.arange(len(owners))
    singles = place[rows]
    return np.flatnonzero(singles >= 0), singles[singles >= 0]


def _columns(calls: State) -> State:
    return {name: column for name, column in calls.items() if name != "ids"}


def _chosen(parts: list[State], rows: I64) -> State:
    return {name: np.concatenate([part[name] for part in parts])[rows] for name in parts[0]}


def _ids(parts: list[State], rows: I64) -> State:
    """As `IdColumn.state_of`: the texts are of the rows of the last kind, in order."""
    columns = _chosen([{name: part[name] for name in ("high", "low", "kind")} for part in parts], rows)
    texts = list(chain.from_iterable(part["texts"] for part in parts))
    if not texts:
        return {**columns, "texts": ()}
    is_text = np.concatenate([part["kind"] for part in parts]) == TEXT
    place = np.cumsum(is_text)[rows[is_text[rows]]] - 1
    return {**columns, "texts": tuple(map(texts.__getitem__, place.tolist()))}


def _by_place(parts: list[State], name: str, lengths: list[int], rows: I64) -> dict[int, Any]:
    """Values by row, renumbered: those of `rows` keep their value under their place in it, which is ascending."""
    first = [0, *accumulate(lengths)]
    values = {start + at: value for part, start in zip(parts, first, strict=False) for at, value in part[name].items()}
    if not values:
        return {}
    has_value = np.zeros(first[-1], np.bool_)
    has_value[np.fromiter(values, np.int64, len(values))] = True
    places = np.flatnonzero(has_value[rows])
    return {place: values[row] for place, row in zip(places.tolist(), rows[places].tolist(), strict=True)}
