"""Puts changes of a shard of sessions behind its stored state.

A part names the sessions of which nothing counts any longer that earlier parts have. Of the others, the newest row of a
session and of each outcome counts, and all calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, Final

import numpy as np

from models.arrays import I32, I64, Bools
from models.columns.names import Names
from models.columns.stored_rows import by_place, chosen, ids
from models.sessions.courses import merged_courses
from models.sessions.tables import CallSpan

StoredSessions = dict[str, Any]
_BESIDE: Final = {
    "calls": frozenset({"ids", "parents", "session"}),
    "sessions": frozenset({"ids"}),
    "lone": frozenset({"ids", "calls", "session", "texts", "sources", "partitions"}),
}


def merged_sessions(state: StoredSessions, changes: Sequence[StoredSessions]) -> StoredSessions:
    """The state after `changes`, of `Sessions.changes`, in order. O(n log n) for n rows of all of them.

    What else lies in them by other names is that of the newest part.

    Raises:
        LookupError, TypeError, ValueError: this is not what a shard has stored.
    """
    if not changes:
        return state
    parts = [state, *changes]
    owners = _Owners(parts)
    rest = {name: value for name, value in parts[-1].items() if name not in {"whole", "dropped", "lone_gone"}}
    return {
        **rest,
        "keys": owners.keys,
        "sessions": _table(parts, "sessions", owners.rows),
        **_calls(parts, owners),
        "lone": _lone(parts, owners),
        **_said(parts, owners),
        **_checks(parts),
    }


def _checks(parts: list[StoredSessions]) -> StoredSessions:
    """What rules over sessions remember; nothing where there are none by now."""
    checks = merged_courses([part.get("checks") for part in parts])
    return {} if checks is None else {"checks": checks | {"swept_at": parts[-1]["checks"]["swept_at"]}}


class _Owners:
    """The sessions that are left, and what counts of what parts have of them.

    Attributes:
        keys: of the sessions.
        rows: their newest rows in all parts, one part after the other.
    """

    def __init__(self, parts: list[StoredSessions]) -> None:
        keys = np.concatenate([part["keys"] for part in parts])
        every, self._number = np.unique(keys, return_inverse=True)
        newest = np.zeros(len(every), np.int64)
        np.maximum.at(newest, self._number, np.arange(len(keys)))
        lengths = [len(part["keys"]) for part in parts]
        self._first = np.array([0, *accumulate(lengths)], np.int64)
        self._void, dropped = np.zeros(len(every), np.int64), np.zeros(len(every), np.int64)
        for turn, part in enumerate(parts[1:], start=1):
            _mark(every, part["whole"], self._void, turn)
            _mark(every, part["dropped"], dropped, turn)
        self._void = np.maximum(self._void, dropped)
        stays = np.repeat(np.arange(len(parts)), lengths)[newest] >= dropped
        self._place = np.where(stays, np.cumsum(stays) - 1, -1).astype(np.int32)
        self.keys, self.rows = every[stays], newest[stays]

    def of(self, places: list[I32]) -> tuple[I32, Bools]:
        """By row of a table: the place of its session, and whether it counts; `places` are those in each part."""
        turn = np.repeat(np.arange(len(places)), list(map(len, places)))
        number = self._number[np.concatenate(places) + self._first[turn]]
        owner = self._place[number]
        return owner, (owner >= 0) & (turn >= self._void[number])


def _mark(every: Any, keys: Any, marks: I64, turn: int) -> None:
    at = np.searchsorted(every, keys)
    at = at[at < len(every)] if len(at) else at
    at = at[np.isin(every[at], keys)]
    marks[at] = turn


def _table(parts: list[StoredSessions], name: str, rows: I64) -> StoredSessions:
    tables = [part[name] for part in parts]
    columns = [{column: one for column, one in table.items() if column not in _BESIDE[name]} for table in tables]
    return {**chosen(columns, rows), "ids": ids([table["ids"] for table in tables], rows)}


def _calls(parts: list[StoredSessions], owners: _Owners) -> StoredSessions:
    tables = [part["calls"] for part in parts]
    owner, counts = owners.of([table["session"] for table in tables])
    rows, spans = np.flatnonzero(counts), Names[CallSpan]()
    codes = [np.array([spans.code(CallSpan(*span)) for span in part["spans"]], np.uint8) for part in parts]
    span = np.concatenate([code[table["span"]] for code, table in zip(codes, tables, strict=True)])
    parents = ids([table["parents"] for table in tables], rows)
    calls = {**_table(parts, "calls", rows), "span": span[rows], "session": owner[rows], "parents": parents}
    return {"calls": calls, "spans": tuple(map(tuple, spans.names))}


def _lone(parts: list[StoredSessions], owners: _Owners) -> StoredSessions:
    tables = [part["lone"] for part in parts]
    owner, counts = owners.of([table["session"] for table in tables])
    keys = np.concatenate([table["key"] for table in tables])
    turn = np.repeat(np.arange(len(parts)), [len(table["key"]) for table in tables])
    for at, part in enumerate(parts[1:], start=1):
        counts &= (turn >= at) | ~np.isin(keys, part["lone_gone"])
    (rows,) = counts.nonzero()
    _, last = np.unique(keys[rows][::-1], return_index=True)
    rows = rows[np.sort(len(rows) - 1 - last)]
    recoded: StoredSessions = {}
    for column, kind in (("source", "sources"), ("partition", "partitions")):
        names = Names[str]()
        codes = [np.array([names.code(name) for name in table[kind]], np.int32) for table in tables]
        every = np.concatenate([_at(code, table[column]) for code, table in zip(codes, tables, strict=True)])
        recoded |= {column: every[rows], kind: names.names}
    texts = by_place(tables, "texts", [len(table["key"]) for table in tables], rows)
    calls = ids([table["calls"] for table in tables], rows)
    return {**_table(parts, "lone", rows), **recoded, "session": owner[rows], "calls": calls, "texts": texts}


def _at(codes: I32, places: I32) -> I32:
    """The codes at some places, 0 where there is no code: of outcomes that no longer wait, the partition is any."""
    return codes[np.minimum(places, len(codes) - 1)] if len(codes) else np.zeros(len(places), np.int32)


def _said(parts: list[StoredSessions], owners: _Owners) -> StoredSessions:
    owner, counts = owners.of([part["said_of"] for part in parts])
    packed, instants = [*chain.from_iterable(part["said"] for part in parts)], [part["next"] for part in parts]
    newest = {owner.item(at): at for at in np.flatnonzero(counts).tolist()}
    rows = np.array(sorted(newest.values()), np.int64)
    said = [packed[at] for at in rows.tolist()]
    return {"said": said, "said_of": owner[rows], "next": np.concatenate(instants)[rows]}
