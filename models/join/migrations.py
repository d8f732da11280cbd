"""Brings stored shards of earlier versions to the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from aftercall.names import plain_name
from models.arrays import I32, U8, Bools
from models.columns.id_column import TEXT, IdColumn
from models.join.contents import names_digest
from models.join.early_outcomes import EarlyOutcome, EarlyOutcomes
from models.join.held_calls import HAS_ERROR, IS_LONG, IS_MIXED, MOST_IN_COLUMNS
from models.join.homonyms import Homonyms
from models.join.ledger import Statement
from models.join.statement_pool import ASSERTION, BY_ID, BY_VOICE


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
    if "statements" in held or "ids" in held["singles"]:
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
    plain = (tuple(map(plain_name, group)) for group in state["groups"])
    by_group = np.array([names_digest((task, model, config)) for task, model, config in plain], np.uint32)

    def with_names(held: dict[str, Any]) -> dict[str, Any]:
        calls = held["calls"]
        digest = calls["digest"] ^ by_group[calls["group"]] if len(calls["group"]) else calls["digest"]
        return held | {"calls": calls | {"digest": digest}}

    held = with_names(state["held"])
    if "changes" in held:
        held["changes"] = with_names(held["changes"])
    return state | {"held": held}


def statements_in_one_pool(state: dict[str, Any]) -> dict[str, Any]:
    """Version 5 to 6: a single assertion was a row of its own table, a longer ledger an object; now all are rows.

    Statements had no authors, editions and scorers, and rules said less of sources: what is absent means what it did.
    What sources say of the held calls has not been counted.
    """
    sources = [*state["held"]["sources"]]
    held = pooled(state["held"], coding(sources))
    if "changes" in held:
        held["changes"] = pooled(held["changes"], coding(sources))
    held = {"authors": ("",), **held, "sources": tuple(sources)}
    return state | {"held": held, "opinions_counted": False}


def ends_of_waits(state: dict[str, Any]) -> dict[str, Any]:
    """Version 6 to 7: early outcomes had the code of how long they wait; now they have when their wait ends."""
    return state | {"waiting": with_ends([state["waiting"]])[0]}


def units_of_calls(state: dict[str, Any]) -> dict[str, Any]:
    """Version 7 to 8: held calls may have units of evidence; those of before have none, as each is one alone."""
    return state


def facets_of_calls(state: dict[str, Any]) -> dict[str, Any]:
    """Version 8 to 9: held calls may have facets; those of before have none."""
    return state


def with_ends(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Stored early outcomes, and changes of them in order, of version 6 as those of version 7."""
    waits: list[int] = []
    found = []
    for part in parts:
        # A whole state begins its list of waits, and changes add to it.
        waits += part.get("waits", ())
        kept = {name: column for name, column in part.items() if name not in {"wait", "waits"}}
        if "wait" in part:
            kept["ends"] = part["at"] + np.array(waits or [0], np.int64)[part["wait"]]
        found.append(kept)
    return found


def coding(names: list[str]) -> Callable[[str], int]:
    """Gives the place of a name in a list of distinct ones, at whose end it is put where it is not there."""
    codes = {name: code for code, name in enumerate(names)}

    def code(name: str) -> int:
        if name not in codes:
            codes[name] = len(names)
            names.append(name)
        return codes[name]

    return code


def pooled(held: dict[str, Any], source_code: Callable[[str], int]) -> dict[str, Any]:
    """Held calls of version 5 as those of version 6; of those no copy is made."""
    if "statements" in held:
        return held
    held = dict(held)
    singles, cases, has_single, reasons = (held.pop(name) for name in ("singles", "cases", "has_single", "reasons"))
    stated = [(at, Statement(*s)) for at, (_, _, statements) in cases.items() for s in statements]
    owners = np.concatenate((has_single, np.array([at for at, _ in stated], np.int32))).astype(np.int32)
    columns = [_columns_of([s for _, s in stated], source_code), {**singles, "kind": 0 * singles["given"]}]
    order = np.argsort(owners, kind="stable")
    statements: dict[str, Any] = {
        name: np.concatenate((columns[1][name], columns[0][name])).astype(columns[0][name].dtype)[order]
        for name in columns[0]
    }
    statements["ids"] = _ids_of(singles["ids"], [s.outcome_id for _, s in stated], order)
    texts: list[str | None] = [reasons.get(place) for place in range(len(has_single))] + [s.reason for _, s in stated]
    statements["reasons"] = _in_order(texts, order)
    texts = [*(None for _ in has_single), *(s.retracts for _, s in stated)]
    statements["retracts"] = _in_order(texts, order)
    statements["scorers"] = {}
    errors = {at: error for at, (_, error, _) in cases.items() if error is not None}
    calls = {name: column for name, column in held["calls"].items() if name != "single"}
    # Nothing is known of what the records of these calls had.
    calls |= {name: np.zeros(len(held["keys"]), np.uint32) for name in ("filled", "segment", "session", "error")}
    calls["traits"] = _traits(errors, owners[order], statements["kind"], len(held["keys"]))
    calls["ids"] = _with_ids(calls["ids"], {at: call_id for at, (call_id, _, _) in cases.items()})
    return held | {
        "calls": calls,
        "errors": errors,
        "error_minutes": {},
        "owners": owners[order],
        "statements": statements,
    }


def _traits(errors: dict[int, str], owners: I32, kind: U8, count: int) -> U8:
    """The traits of so many calls."""
    traits = np.zeros(count, np.uint8)
    traits[np.bincount(owners, minlength=count) > MOST_IN_COLUMNS] |= IS_LONG
    traits[owners[kind != ASSERTION]] |= IS_MIXED
    traits[[*errors]] |= HAS_ERROR
    return traits


def _columns_of(statements: list[Statement], source_code: Callable[[str], int]) -> dict[str, Any]:
    kinds = [ASSERTION if not s.retract else BY_VOICE if s.retracts is None else BY_ID for s in statements]
    return {
        "at": np.array([s.at for s in statements], np.int64),
        "source": np.array([source_code(s.source or "") for s in statements], np.int32),
        "given": np.array([-1 if s.given is None else int(s.given) for s in statements], np.int8),
        "kind": np.array(kinds, np.uint8),
        "score": np.array([np.nan if s.score is None else s.score for s in statements], np.float64),
        "minute": np.array([s.minute for s in statements], np.int32),
    }


def _ids_of(state: dict[str, Any], more: list[str], order: Any) -> dict[str, Any]:
    """The ids of a stored column and more ids, in another order."""
    count = len(state["kind"])
    column, rows = IdColumn(), np.arange(count + len(more), dtype=np.int32)
    column.resize(len(rows))
    column.put_state(rows[:count], state)
    column.put(rows[count:], more)
    return column.state_of(rows[order])


def _with_ids(state: dict[str, Any], ids: dict[int, str]) -> dict[str, Any]:
    """A stored column of ids, with those that it lacks."""
    lacking = {at: text for at, text in ids.items() if state["kind"][at] == 0}
    if not lacking:
        return state
    column, rows = IdColumn(), np.arange(len(state["kind"]), dtype=np.int32)
    column.resize(len(rows))
    column.put_state(rows, state)
    column.put(np.fromiter(lacking, np.int32, len(lacking)), [*lacking.values()])
    return column.state_of(rows)


def _in_order(texts: list[str | None], order: Any) -> dict[int, str]:
    """The texts that there are, by place in another order."""
    ordered = (texts[at] for at in order.tolist())
    return {place: text for place, text in enumerate(ordered) if text is not None}
