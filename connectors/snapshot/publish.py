"""Publishes snapshots: one complete, read-only DuckDB file per version, and a link to the newest.

Readers never wait and never see half a file: each is written under a temporary name, synced, renamed, and only then
linked (`versions.py`).
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import duckdb

from connectors.snapshot import merging, tables
from connectors.snapshot.errors import naming
from connectors.snapshot.sql import create
from connectors.snapshot.versions import discard_unfinished, draft_of, keep_newest, newest_version, release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STORAGE_VERSION: Final = "v1.0.0"
"""A format that DuckDB 1.0 and later can read."""


class Publication:
    """A snapshot that is being built: it sees the live database as it was when this object was created.

    Create it in the thread that commits; `write` may then run in another one while that thread appends more rows.
    Exactly one of `write` and `abandon` must be called.
    """

    def __init__(
        self,
        live: duckdb.DuckDBPyConnection,
        live_file: Path,
        folder: Path,
        *,
        keep: int,
        calls: str,
        mode: int | None = None,
    ) -> None:
        self._mode = mode
        self._live_file, self._folder, self._keep, self._calls = live_file, folder, keep, calls
        self.version = newest_version(folder) + 1
        self._draft = draft_of(folder, self.version, mode)
        self._cursor = live.cursor()
        path = str(self._draft).replace("'", "''")
        self._cursor.execute(f"ATTACH '{path}' AS published (STORAGE_VERSION '{STORAGE_VERSION}')")
        self._cursor.execute("BEGIN")
        # A transaction sees a database as of its first query of it, not as of BEGIN.
        self._cursor.execute("SELECT count(*) FROM live.last_cut").fetchall()

    def write(
        self,
        pipeline: Mapping[str, Any],
        rates: Mapping[str, Any],
        current_rates: Mapping[str, Any],
        of_sources: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None,
        tool_rates: Mapping[str, Any] | None = None,
        segment_rates: Mapping[str, Any] | None = None,
        check_rates: Mapping[str, Any] | None = None,
    ) -> Path:
        """Write the file, make it the newest, and remove all but the last `keep`.

        Args:
            pipeline: The counters of `tables.COUNTERS` (absent: 0), `watermark` and `written_at` in µs
                (absent: NULL, now), `positions` as a dict, `warnings` as `connectors.batch.Warned`, and `suspicions`
                and `contracts` as rows of these tables (absent: none).
            rates: Columns of equal length: arrays or lists; nan is NULL; times in µs.
            current_rates: The same.
            of_sources: The same of `source_rates` and `source_current_rates`; None: empty tables.
            tool_rates: The same; None: an empty table.
            segment_rates: The same.
            check_rates: The same.

        Returns:
            The file that `outcomes.duckdb` now links to.

        Raises:
            SnapshotError: The disk is full, the live database is damaged, or the file cannot be written for another
                reason.
        """
        try:
            with naming(self._draft, reads=self._live_file):
                computed = {"rates": rates, "current_rates": current_rates}
                if of_sources is not None:
                    computed |= dict(zip(("source_rates", "source_current_rates"), of_sources, strict=True))
                if tool_rates is not None:
                    computed["tool_rates"] = tool_rates
                if segment_rates is not None:
                    computed["segment_rates"] = segment_rates
                if check_rates is not None:
                    computed["check_rates"] = check_rates
                self._fill(pipeline, computed)
        except BaseException:
            self.abandon()
            raise
        return self._release()

    def spelled_like(self, call_ids: Sequence[str], beside: str) -> list[tuple[str, str]]:
        """(id, call) of ids that are no call's, but are spelled like that of a logged one; sorted.

        To be called before `write`. O(calls). `beside`: characters that make no difference; case makes none either, nor
        does the prefix `urn:uuid:`.
        """
        with naming(self._live_file):
            return self._cursor.execute(
                """
                SELECT named.id, min(c.call_id)
                FROM (SELECT unnest($1::VARCHAR[]) AS id) named JOIN live.calls c
                  ON replace(translate(lower(named.id), $2, ''), 'urn:uuid:', '')
                   = replace(translate(lower(c.call_id), $2, ''), 'urn:uuid:', '')
                GROUP BY named.id HAVING NOT list_contains(list(c.call_id), named.id) ORDER BY ALL
                """,
                [list(call_ids), beside],
            ).fetchall()

    def sessions_of(self, call_ids: Sequence[str]) -> list[str]:
        """Those of the ids that are no logged call's, but the session of one; sorted.

        To be called before `write`. O(calls).
        """
        with naming(self._live_file):
            rows = self._cursor.execute(
                """
                WITH named AS (SELECT DISTINCT unnest($1::VARCHAR[]) AS id)
                SELECT id FROM named SEMI JOIN (
                  SELECT session_id AS id FROM live.calls UNION ALL SELECT session_id FROM live.completions
                ) USING (id) ANTI JOIN (SELECT call_id AS id FROM live.calls) USING (id) ORDER BY id
                """,
                [list(call_ids)],
            ).fetchall()
        return [id_ for (id_,) in rows]

    def abandon(self) -> None:
        """Roll back and remove the file: nothing is published."""
        with suppress(duckdb.Error):
            self._cursor.execute("ROLLBACK")
        with suppress(duckdb.Error):
            self._cursor.execute("DETACH published")
        self._cursor.close()
        discard_unfinished(self._folder)

    def _fill(self, pipeline: Mapping[str, Any], computed: Mapping[str, Mapping[str, Any]]) -> None:
        execute = self._cursor.execute
        for table, columns in tables.PUBLISHED.items():
            execute(create(f"published.{table}", columns))
        if self._calls != "none":
            decided = " WHERE verdict != 'pending'" if self._calls == "decided" else ""
            self._insert("calls", f"SELECT * FROM ({merging.MERGED_CALLS}){decided}")
            self._insert("calls", merging.ATTEMPTS)
            if self._calls == "decided":
                self._insert("statements", _of_decided_calls(merging.NEWEST_STATEMENTS))
                of_call = "AND c.occurred_at = t.call_occurred_at"
                self._insert("tool_calls", _of_decided_calls(merging.TOOL_CALLS, of_call))
                self._insert("checks", _of_decided_calls(merging.NEWEST_CHECKS, of_call))
            else:
                self._insert("statements", merging.NEWEST_STATEMENTS)
                self._insert("tool_calls", merging.TOOL_CALLS)
                self._insert("checks", merging.NEWEST_CHECKS)
        self._insert("alerts", merging.NEWEST_ALERTS)
        self._insert("trust", merging.TRUST_ROWS)
        for table in ("digests", "recommendations", "marks", "dead_letters"):
            self._insert(table, f"SELECT {tables.select(table)} FROM live.{table}")
        for table, arrays in computed.items():
            if len(next(iter(arrays.values()))):
                self._cursor.register("computed", dict(arrays))
                self._insert(table, f"SELECT {tables.select(table)} FROM computed")
                self._cursor.unregister("computed")
        row = {
            "version": self.version,
            "written_at": pipeline.get("written_at", time.time_ns() // 1000),
            "watermark": pipeline.get("watermark"),
            **{name: pipeline.get(name, 0) for name in tables.COUNTERS},
            "positions": json.dumps(pipeline.get("positions", {}), sort_keys=True),
        }
        execute(_insertion("pipeline"), list(row.values()))
        for warned in pipeline.get("warnings", ()):
            execute(_insertion("pipeline_warnings"), list(warned))
        for table in ("suspicions", "contracts"):
            for one in pipeline.get(table, ()):
                execute(_insertion(table), list(one))
        execute("COMMIT")
        execute("DETACH published")
        self._cursor.close()

    def _insert(self, table: str, query: str) -> None:
        self._cursor.execute(f"INSERT INTO published.{table} {query}")

    def _release(self) -> Path:
        # Nothing writes to a snapshot any more; who may read it, the umask decides, unless a mode is set.
        self._draft.chmod(self._draft.stat().st_mode & 0o444 if self._mode is None else self._mode)
        newest = release(self._folder, self._draft, self.version)
        keep_newest(self._folder, self._keep)
        return newest


def _insertion(table: str) -> str:
    """The SQL that inserts one row of values, times in µs."""
    fields = ", ".join(
        tables.read(name, kind).replace(f'"{name}"', "?") if kind == "TIMESTAMP" else "?"
        for name, kind in tables.PUBLISHED[table].items()
    )
    return f"INSERT INTO published.{table} SELECT {fields}"


def _of_decided_calls(rows: str, more: str = "") -> str:
    return f"SELECT * FROM ({rows}) t WHERE EXISTS (SELECT 1 FROM published.calls c WHERE c.call_id = t.call_id {more})"
