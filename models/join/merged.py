"""Puts changes of a shard behind its stored state.

All changes become one, in which the newest row of each call counts. It stays beside the rows of the state, as
`held.changes`, and `HeldCalls.restore` applies it: most calls have not changed, and are not touched again. A migration
of the rows of a state must see to those of `held.changes` too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, Final

import numpy as np

from models.arrays import I32, I64
from models.columns.stored_rows import by_place as _by_place
from models.columns.stored_rows import chosen as _chosen
from models.columns.stored_rows import ids as _ids
from models.columns.stored_rows import texts as _texts
from models.join.migrations import coding, ids_of_calls_beside_outcomes, pooled, waiting_in_columns, with_ends
from models.join.shard_state import segments_in
from models.join.statement_pool import POOL_TEXTS

State = dict[str, Any]
_NAMES: Final = ("sources", "partitions")
_BESIDE_COLUMNS: Final = frozenset({"ids", *POOL_TEXTS})


def merged_shard(state: State, changes: Sequence[State]) -> State:
    """The state after `changes`, of `Join.changes`, in order. O(n log n) for n rows of changes.

    Raises:
        LookupError, TypeError, ValueError: this is not what a join has stored.
    """
    if not changes:
        return state
    # What earlier versions stored is put together in the form of this one: their migrations find nothing left to do.
    parts = [*map(ids_of_calls_beside_outcomes, (state, *changes))]
    sources = [*chain.from_iterable(part["held"]["sources"] for part in parts)]
    held, *changed = (pooled(part["held"], coding(sources)) for part in parts)
    authors = chain.from_iterable(part["held"].get("authors", ()) for part in parts)
    held = held | {"sources": tuple(sources), "authors": tuple(authors) or ("",), "changes": _held(changed)}
    return {
        **parts[-1],
        "groups": tuple(chain.from_iterable(part["groups"] for part in parts)),
        "segments": tuple(chain.from_iterable(map(segments_in, parts))),
        "homonyms": tuple(chain.from_iterable(part["homonyms"] for part in parts)),
        "held": held,
        "waiting": _waiting([part["waiting"] for part in parts]),
    }


def _held(parts: list[State]) -> State:
    rows = _newest(parts)
    owners, statements = _statements(parts, rows)
    stated = [part["statements"] for part in parts]
    counts = [len(part["owners"]) for part in parts]
    return {
        "gone": np.concatenate([part["gone"] for part in parts]),
        "keys": np.concatenate([part["keys"] for part in parts])[rows],
        "calls": _with_ids([part["calls"] for part in parts], rows),
        **_rare(parts, "units", np.uint64, rows),
        **_rare(parts, "facets", np.uint32, rows),
        "errors": _by_place(parts, "errors", [len(part["keys"]) for part in parts], rows),
        "error_minutes": _by_place(parts, "error_minutes", [len(part["keys"]) for part in parts], rows),
        "owners": owners,
        "statements": {
            **_with_ids(stated, statements),
            **{name: _by_place(stated, name, counts, statements) for name in POOL_TEXTS},
        },
    }


def _rare(parts: list[State], name: str, dtype: Any, rows: I64) -> State:
    """Parts have none where none of their calls has one, or an earlier version stored them."""
    if not any(name in part for part in parts):
        return {}
    columns = [part.get(name, np.zeros(len(part["keys"]), dtype)) for part in parts]
    return {name: np.concatenate(columns)[rows]}


def _waiting(parts: list[Any]) -> State:
    if not isinstance(parts[0], dict):  # as version 3 stored it
        merged = dict(chain.from_iterable(parts))
        return waiting_in_columns(item for item in merged.items() if item[1])
    parts = with_ends([{"authors": {}, **part} for part in parts])  # versions up to 5 had no authors
    rows = _untouched(parts)
    own = {"keys", "touched", "call_ids", "outcome_ids", "reasons", "scorers", "retracts", "authors", *_NAMES}
    columns = [{name: column for name, column in part.items() if name not in own} for part in parts]
    lengths = [len(part["keys"]) for part in parts]
    return {
        "keys": np.concatenate([part["keys"] for part in parts])[rows],
        **_chosen(columns, rows),
        "call_ids": _ids([part["call_ids"] for part in parts], rows),
        "outcome_ids": _ids([part["outcome_ids"] for part in parts], rows),
        "reasons": _optional_texts(parts, "reasons", rows),
        # Parts that an earlier version stored have no scorers.
        **({"scorers": _optional_texts(parts, "scorers", rows)} if "scorers" in parts[0] else {}),
        **{name: _by_place(parts, name, lengths, rows) for name in ("retracts", "authors")},
        **{name: tuple(chain.from_iterable(part[name] for part in parts)) for name in _NAMES},
    }


def _untouched(parts: list[State]) -> I64:
    """The rows of early outcomes whose call is not among those that a later part touches: these replace them."""
    keys = np.concatenate([part["keys"] for part in parts])
    of_row = np.repeat(np.arange(len(parts)), [len(part["keys"]) for part in parts])
    turn = np.repeat(np.arange(1, len(parts)), [len(part["touched"]) for part in parts[1:]])
    # From behind, so that the first place of a key is that of its newest part.
    touched, place = np.unique(np.concatenate([part["touched"] for part in parts[1:]])[::-1], return_index=True)
    newest, at = turn[::-1][place], np.searchsorted(touched, keys)
    found = np.flatnonzero(at < len(touched))
    found = found[touched[at[found]] == keys[found]]
    kept = np.ones(len(keys), np.bool_)
    kept[found] = of_row[found] == newest[at[found]]
    return np.flatnonzero(kept)


def _optional_texts(parts: list[State], name: str, rows: I64) -> State:
    """As `TextColumn.state_of`."""
    columns = [part[name] for part in parts]
    has_text = np.zeros(sum(len(part["keys"]) for part in parts), np.bool_)
    first = [0, *accumulate(len(part["keys"]) for part in parts)]
    for part, start in zip(columns, first, strict=False):
        has_text[part["has_text"] + start] = True
    text, lengths = _texts(columns, has_text, rows)
    return {"has_text": np.flatnonzero(has_text[rows]).astype(np.int32), "text": text, "lengths": lengths}


def _newest(parts: list[State]) -> I64:
    """Rows, among those of all parts one after the other, that are each call's newest and not gone later."""
    events = [array for part in parts for array in (part["gone"], part["keys"])]
    held = np.concatenate([np.full(len(array), at % 2 == 1) for at, array in enumerate(events)])
    keys = np.concatenate(events)
    _, last = np.unique(keys[::-1], return_index=True)
    newest = np.zeros(len(keys), np.bool_)
    newest[len(keys) - 1 - last] = True
    return np.flatnonzero(newest[held])


def _statements(parts: list[State], rows: I64) -> tuple[I32, I64]:
    """The places in `rows` of the calls that have statements, one of each statement, and where these lie in all parts.

    Those of one call follow each other as they did.
    """
    first = [0, *accumulate(len(part["keys"]) for part in parts)]
    place = np.full(first[-1], -1, np.int32)
    place[rows] = np.arange(len(rows), dtype=np.int32)
    owners = place[np.concatenate([part["owners"] + start for part, start in zip(parts, first, strict=False)])]
    statements = np.flatnonzero(owners >= 0)
    statements = statements[np.argsort(owners[statements], kind="stable")]
    return owners[statements], statements


def _with_ids(parts: list[State], rows: I64) -> State:
    return {**_chosen([_columns(part) for part in parts], rows), "ids": _ids([part["ids"] for part in parts], rows)}


def _columns(table: State) -> State:
    return {name: column for name, column in table.items() if name not in _BESIDE_COLUMNS}
