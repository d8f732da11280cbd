"""Deletes calls from the live database, and their bytes from its file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import duckdb

from connectors.fsync import sync
from connectors.snapshot import tables
from connectors.snapshot.versions import discard

_PER_CALL: Final = ("calls", "verdicts", "statements")
_OF_CALLS: Final = ("completions", "attempts", "tool_calls", "checks")
"""What belongs to the rows of `calls`; it is not counted."""
_ID: Final = r"[\w-]"
"""Characters that ids usually consist of: a text that names `call-10` does not name `call-1`."""


def delete_calls(
    live: duckdb.DuckDBPyConnection, call_ids: Sequence[str], sessions: Sequence[str] = ()
) -> dict[str, int]:
    """Delete all rows of these calls, and the dead letters that name one, or a session; returns the rows by table."""
    ids = list(call_ids)
    live.begin()
    counts = {
        table: _count(live.execute(f"DELETE FROM {table} WHERE list_contains(?::VARCHAR[], call_id)", [ids]))
        for table in _PER_CALL
    }
    for part in _OF_CALLS:
        live.execute(f"DELETE FROM {part} WHERE list_contains(?::VARCHAR[], call_id)", [ids])
    letters = _letters(live, [*ids, *sessions])
    if letters:
        live.execute("DELETE FROM dead_letters WHERE list_contains(?::BIGINT[], rowid)", [letters])
    live.commit()
    return counts | {"dead_letters": len(letters)}


def rewrite(live: duckdb.DuckDBPyConnection, file: Path) -> None:
    """Rewrite the database in place of `file`, and close it; O(its size).

    `DELETE` and `CHECKPOINT` leave the bytes of deleted rows in the file (tried, with `FORCE CHECKPOINT` and `VACUUM`
    too). If the process is killed meanwhile, the old file stays, complete.
    """
    draft = rewrite_of(file)
    discard(draft)
    quoted = str(draft).replace("'", "''")
    live.execute(f"ATTACH '{quoted}' AS rewritten")
    for table in (*tables.LOGS, "last_cut"):
        # One thread reads in order: the order of the rows decides which one of a key is the newest.
        live.execute(f"CREATE TABLE rewritten.{table} AS SELECT * FROM {table}")
    live.execute("CHECKPOINT rewritten")
    live.execute("DETACH rewritten")
    live.execute("CHECKPOINT")  # so that no log is left that DuckDB would apply to the new file
    live.close()
    sync(draft)
    draft.replace(file)
    discard(draft)
    sync(file.parent)


def rewrite_of(file: Path) -> Path:
    """The file that `rewrite` writes before it replaces the database."""
    # Not renamed: a draft that an earlier version left behind must be found and discarded.
    return file.with_name(f"{file.name}.anew")


def names_call(text: str | None, pattern: re.Pattern[str]) -> bool:
    """Whether a dead letter's payload or detail names a call, also if its JSON spells the id with escapes."""
    if text is None:
        return False
    if pattern.search(text):
        return True
    if "\\" not in text:
        return False
    try:
        return bool(pattern.search(json.dumps(json.loads(text), ensure_ascii=False)))
    except (ValueError, RecursionError):
        return False


def pattern_of(call_ids: Sequence[str]) -> re.Pattern[str]:
    """A pattern that finds any of the ids as a whole word, as it is or as JSON may escape it."""
    spelled = [
        json.dumps(call_id, ensure_ascii=ascii_only)[1:-1] for call_id in call_ids for ascii_only in (True, False)
    ]
    either = "|".join(re.escape(form) for form in sorted({*call_ids, *spelled}))
    return re.compile(rf"(?<!{_ID})(?:{either})(?!{_ID})")


def _letters(live: duckdb.DuckDBPyConnection, ids: list[str]) -> list[int]:
    """Row ids of the dead letters that name one of the calls."""
    if not ids:
        return []
    # DuckDB finds those that may name one, in C++; Python then checks words and escapes.
    candidates = live.execute(
        """
        SELECT DISTINCT d.rowid, d.payload, d.detail FROM dead_letters d, (SELECT unnest(?::VARCHAR[]) AS id) named
        WHERE contains(d.payload, named.id) OR contains(d.detail, named.id) OR contains(d.payload, '\\')
        """,
        [ids],
    ).fetchall()
    pattern = pattern_of(ids)
    return [row for row, payload, detail in candidates if names_call(payload, pattern) or names_call(detail, pattern)]


def _count(done: duckdb.DuckDBPyConnection) -> int:
    return int(done.fetchall()[0][0])
