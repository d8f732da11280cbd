"""Brings stored shards of earlier versions to the next one."""

from __future__ import annotations

from typing import Any

import numpy as np
from xxhash import xxh3_64_intdigest

from aftercall.names import plain_name
from models.arrays import Bools
from models.columns.id_column import TEXT
from models.join.early_outcomes import EarlyOutcome, EarlyOutcomes
from models.join.held_calls import fold_digest
from models.join.homonyms import Homonyms
from models.join.ledger import Statement


def ids_in_one_array(state: dict[str, Any]) -> dict[str, Any]:
    """Version 2 to 3: ids that are no UUIDs were a list of texts; now they are one array, with their lengths."""
    held = state["held"]
    ids = dict(held["calls"]["ids"])
    texts = [text.encode() for text in ids.pop("texts")]
    ids["text"] = np.frombuffer(b"".join(texts), np.uint8).copy()
    ids["lengths"] = np.fromiter(map(len, texts), np.uint16, len(texts))
    return state | {"held": held | {"calls": held["calls"] | {"ids": ids}}}


def ids_of_calls_beside_outcomes(state: dict[str, Any]) -> dict[str, Any]:
    """The `outcome_id` of a single statement took the place of its call's id; now both are kept.

    Of these calls, and of those with a longer ledger, the table has no id then. The same for what has changed.
    """
    held = state["held"]
    if "ids" in held["singles"]:
        return state
    ids, count = held["calls"]["ids"], len(held["keys"])
    has_single, is_text = np.zeros(count, np.bool_), ids["kind"] == TEXT
    has_single[held["has_single"]] = True
    dropped = has_single.copy()
    dropped[np.fromiter(held["cases"], np.int64, len(held["cases"]))] = True
    ends = np.cumsum(ids["lengths"], dtype=np.int64)
    texts = [ids["text"][end - size : end] for end, size in zip(ends.tolist(), ids["lengths"].tolist(), strict=True)]

    def of(rows: Bools) -> dict[str, Any]:
        chosen = [text for text, kept in zip(texts, rows[is_text].tolist(), strict=True) if kept]
        return {
            **{name: ids[name][rows] for name in ("high", "low", "kind")},
            "text": np.concatenate([np.zeros(0, np.uint8), *chosen]),
            "lengths": ids["lengths"][rows[is_text]],
        }

    kept = of(~dropped)
    columns = {name: np.zeros(count, ids[name].dtype) for name in ("high", "low", "kind")}
    for name, column in columns.items():
        column[~dropped] = kept[name]
    calls, singles = held["calls"] | {"ids": kept | columns}, held["singles"] | {"ids": of(has_single)}
    return {"homonyms": (), **state, "held": held | {"calls": calls, "singles": singles}}


def waiting_in_columns(waiting: Any) -> dict[str, Any]:
    """Early outcomes of version 3, which were a list of (key, outcomes), as columns."""
    early = EarlyOutcomes(Homonyms(0), 0)
    for key, outcomes in waiting:
        for statement, *rest in outcomes:
            early.add(key, EarlyOutcome(Statement(*statement), *rest))
    return early.state()


def early_outcomes_in_columns(state: dict[str, Any]) -> dict[str, Any]:
    """Version 3 to 4: `ids_of_calls_beside_outcomes`, and early outcomes in columns."""
    state = ids_of_calls_beside_outcomes(state)
    if isinstance(state["waiting"], dict):
        return state
    return {**state, "waiting": waiting_in_columns(state["waiting"])}


def names_in_digests(state: dict[str, Any]) -> dict[str, Any]:
    """Version 4 to 5: digests are of the names too, so that a repeat is one whatever aliases have come since."""
    names = [fold_digest(xxh3_64_intdigest("\0".join(map(plain_name, group)).encode())) for group in state["groups"]]
    by_group = np.array(names, np.uint32)

    def with_names(held: dict[str, Any]) -> dict[str, Any]:
        calls = held["calls"]
        digest = calls["digest"] ^ by_group[calls["group"]] if len(calls["group"]) else calls["digest"]
        return held | {"calls": calls | {"digest": digest}}

    held = with_names(state["held"])
    if "changes" in held:
        held["changes"] = with_names(held["changes"])
    return state | {"held": held}


def ledgers_of_many_voices(state: dict[str, Any]) -> dict[str, Any]:
    """Version 5 to 6: it is remembered which fields the records of a call have had; of held ones nothing is known.

    Statements have authors, editions and scorers, and rules say more of sources: what is absent means, as before. What
    sources say of the held calls has not been counted.
    """
    held = _without_contents(state["held"])
    if "changes" in held:
        held["changes"] = _without_contents(held["changes"])
    return state | {"held": held, "opinions_counted": False}


def _without_contents(held: dict[str, Any]) -> dict[str, Any]:
    calls = held["calls"]
    none = {name: np.zeros(len(calls["at"]), np.uint32) for name in ("filled", "segment", "session", "error")}
    return held | {"calls": none | calls}
