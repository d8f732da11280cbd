"""Reads all that a run keeps of one call: the call, its ledger, its verdict, its tools, its texts."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb

from aftercall.printable import printable
from aftercall.snapshot import texts_folder
from connectors.snapshot.sql import call_hash
from connectors.texts.finding import LockedTextsError, find_texts
from flows.reports.snapshot_reader import InsightError, open_snapshot, rows

NONE_KEPT: Final = (
    'none of this call are kept ([texts] keep = "failed", "sampled" or "all" keeps those of calls that come from '
    "then on)"
)
NOT_THIS_ONE: Final = (
    "none of this call are kept, only those of others: it has none, was not sampled, did not fail in time, or is older "
    'than texts.retention ([texts] keep = "all" keeps those of all calls)'
)


@dataclass(frozen=True)
class Story:
    """What is known under one id; times are aware, UTC.

    Attributes:
        call_id: the id.
        calls: rows of `calls`, oldest first, each followed by its failed attempts; more than one call where an id came
            again after its call had closed.
        statements: rows of `statements`, in the order of the ledger.
        tools: the tool calls, as far as they are kept.
        texts: `occurred_at, input, output` of each call that has any.
        missing: why there are no texts; None where there are.
    """

    call_id: str
    calls: list[dict[str, Any]]
    statements: list[dict[str, Any]]
    tools: list[dict[str, Any]]
    texts: list[dict[str, Any]]
    missing: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain values, with times as they are."""
        return {
            "call_id": self.call_id,
            "calls": self.calls,
            "statements": self.statements,
            "tools": self.tools,
            "texts": self.texts,
        }


def story_of(snapshot: Path, call_id: str, key: bytes | None = None) -> Story:
    """All that is kept of a call.

    Args:
        snapshot: the file or the link.
        call_id: the id.
        key: of encrypted texts.

    Raises:
        InsightError: no such snapshot, nothing of this call in it, or its texts are under another key.
    """
    with open_snapshot(snapshot) as base:
        calls = _calls(base, call_id)
        at = [call["occurred_at"].replace(tzinfo=None) for call in calls]
        statements = _of_calls(base, "SELECT * FROM statements", call_id, at, "occurred_at, outcome_id")
        tools = _of_calls(base, "SELECT * EXCLUDE (call_id) FROM tool_calls", call_id, at, "position")
        folder = texts_folder(snapshot.resolve())
        texts, missing = _texts(base, folder, call_id, calls, key)
    if not calls and not statements and not texts:
        raise InsightError(
            f"show: {snapshot} must have the call; there is none with the id {printable(call_id)} (check the id; calls "
            'are in the snapshot as snapshot.calls = "all", "decided" or "none" says, for as long as retention.calls)'
        )
    for call in calls:
        call["attrs"] = None if call["attrs"] is None else json.loads(call["attrs"])
    kept = [tool for text in texts for tool in json.loads(text.pop("tools") or "[]")]
    return Story(call_id, calls, statements, kept or tools, texts, missing)


def _calls(base: duckdb.DuckDBPyConnection, call_id: str) -> list[dict[str, Any]]:
    """The rows of `calls` with this id; found by its hash and time, as to compare a million ids takes 40 ms.

    All rows of an id have one hash, since one publication wrote them. Where it is not this hash (a snapshot of an
    earlier version, or by another DuckDB) no row is found by it, and ids are compared.
    """
    times = f"SELECT min(occurred_at), max(occurred_at) FROM calls WHERE call_hash = {call_hash('?')}"
    by_id, ordered = "FROM calls WHERE call_id = ?", "ORDER BY occurred_at, attempt"
    with suppress(duckdb.BinderException):
        (ends,) = base.execute(times, [call_id]).fetchall()
        query = f"SELECT * EXCLUDE (call_hash) {by_id} AND occurred_at BETWEEN ? AND ? {ordered}"
        if found := rows(base, query, [call_id, *ends]):
            return found
    found = rows(base, f"SELECT * {by_id} {ordered}", [call_id])
    return [{name: value for name, value in row.items() if name != "call_hash"} for row in found]


def _texts(
    base: duckdb.DuckDBPyConnection, folder: Path, call_id: str, calls: list[dict[str, Any]], key: bytes | None
) -> tuple[list[dict[str, Any]], str | None]:
    """The texts; without any, why."""
    try:
        found = find_texts(base, folder, call_id, [call["occurred_at"] for call in calls], key)
    except LockedTextsError:
        if calls:
            return [], "they are encrypted, under another key than this one or none (give --key-file)"
        found = []
    except (duckdb.IOException, OSError) as wrong:
        reason = str(wrong).partition("\n")[0]
        return [], f"{folder} must be readable by this user; got: {reason} (ask the owner, or set snapshot.mode)"
    for text in found:
        text["occurred_at"] = text["occurred_at"].replace(tzinfo=UTC)
    if found:
        return found, None
    return [], NOT_THIS_ONE if folder.is_dir() else NONE_KEPT


def _of_calls(
    base: duckdb.DuckDBPyConnection, query: str, call_id: str, at: list[datetime], order: str
) -> list[dict[str, Any]]:
    """The rows of a table that are of the calls with this id, those of `at`; none where the snapshot lacks the table.

    By time, too: to compare a million ids takes 40 ms, and only those of one time are.
    """
    by_id, ordered = f"{query} WHERE call_id = ?", f"ORDER BY {order}"
    with suppress(duckdb.CatalogException):
        if at:
            # A snapshot of an earlier version does not say of which call a statement is.
            with suppress(duckdb.BinderException):
                between = "AND call_occurred_at BETWEEN ? AND ?"
                return rows(base, f"{by_id} {between} {ordered}", [call_id, min(at), max(at)])
        return rows(base, f"{by_id} {ordered}", [call_id])
    return []
