"""Stores rows in a live database, and publishes complete snapshot files from it.

Only the pipeline opens the live database. It holds append-only logs. Every row has the number of the *cut* with which
it became durable; a pipeline that resumes at a cut drops the rows of later ones and writes them again.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import duckdb

from aftercall.errors import NEW_OUT
from aftercall.times import to_us
from connectors.snapshot import tables
from connectors.snapshot.columns import columns_of
from connectors.snapshot.erase import delete_calls, rewrite, rewrite_of
from connectors.snapshot.errors import SnapshotError, naming
from connectors.snapshot.publish import Publication
from connectors.snapshot.sql import create, widened
from connectors.snapshot.versions import discard, discard_unfinished

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from aftercall.records import Alert, Digest, Recommendation
    from aftercall.trust_record import TrustRecord

Row = tuple[Any, ...]

__all__ = ["MODES", "Row", "SnapshotError", "SnapshotStore"]

MODES: Final = ("all", "decided", "none")
_FLUSH_ROWS: Final = 50_000


class SnapshotStore:
    """Logs rows, commits them in cuts, publishes snapshots of them.

    Not thread-safe, except for `Publication.write`. DuckDB uses at most `memory_mb` of memory, and spills the rest to
    `<folder>/state/spill`.

    Args:
        folder: Where `outcomes.duckdb` is to be; created if absent.
        keep: Published files that are kept, >= 1.
        calls: `all`, `decided` (published calls have a verdict or are expired) or `none` (neither calls nor
            statements).
        memory_mb: Memory limit of DuckDB.
        mode: Rights of published files; None for those that the umask leaves, without that to write.

    Raises:
        SnapshotError: Another process holds the live database.
        ValueError: `keep` or `calls` is out of range.
    """

    def __init__(
        self, folder: Path, *, keep: int = 3, calls: str = "all", memory_mb: int = 256, mode: int | None = None
    ) -> None:
        if keep < 1:
            msg = f"snapshot: keep must be >= 1; got {keep} (set snapshot.keep)"
            raise ValueError(msg)
        if calls not in MODES:
            msg = f"snapshot: calls must be one of {', '.join(MODES)}; got {calls!r} (set snapshot.calls)"
            raise ValueError(msg)
        self.folder = folder
        self._keep, self._calls, self._memory_mb, self._mode = keep, calls, memory_mb, mode
        self._live_file = folder / "state" / "live.duckdb"
        self._live_file.parent.mkdir(parents=True, exist_ok=True)
        discard(rewrite_of(self._live_file))
        with naming(self._live_file):
            self._connection = self._open()
            self._cut = self._committed_cut()
        # Only the process that holds the live database publishes, so this removes no other process's file.
        discard_unfinished(folder)
        self._buffers: dict[str, list[Row]] = {name: [] for name in tables.LOGS}
        self._writing = False

    @property
    def cut(self) -> int:
        """The last cut that is durable, 0 at first."""
        return self._cut

    def resume(self, cut: int) -> None:
        """Go back to a cut: drop later rows, at cut 0 all of them. To be called before anything is appended.

        Raises:
            SnapshotError: The live database ends before that cut.
        """
        if cut == 0:
            self._connection.close()
            discard(self._live_file)
            with naming(self._live_file):
                self._connection = self._open()
        elif cut > self._cut:
            msg = (
                f"snapshot {self._live_file}: it must reach cut {cut}, at which the pipeline resumes; it ends at cut "
                f"{self._cut} (restore the file, or {NEW_OUT})"
            )
            raise SnapshotError(msg)
        else:
            with naming(self._live_file):
                self._connection.begin()
                for table in tables.LOGS:
                    self._connection.execute(f"DELETE FROM {table} WHERE cut > ?", [cut])
                self._connection.execute("UPDATE last_cut SET cut = ?", [cut])
                self._connection.commit()
        self._cut = cut

    def append_calls(self, rows: Sequence[Row]) -> None:
        """Log accepted calls, each once.

        Rows (call_id, occurred_at µs, task_type, model, config, segment, session_id, latency_ms, cost_usd, tokens,
        error, attrs as JSON text, parent_call_id, recommendation_id, propensity, policy_version, rollout_id,
        rollout_arm, rollout_step, tokens_in, tokens_out, number of tool calls), where the last ones may be left out.
        Absent: None, nan, or -1 for tokens.
        """
        if self._calls != "none":
            self._append("calls", rows)

    def append_completions(self, rows: Sequence[Row]) -> None:
        """Log what later records of logged calls filled.

        Rows (call_id, call_occurred_at µs, session_id, latency_ms, cost_usd, tokens, error, attrs as JSON text, and
        from parent_call_id on as for calls); None what a record did not fill. Of one call each column is filled once.
        """
        if self._calls != "none":
            self._append("completions", rows)

    def append_tool_calls(self, rows: Sequence[Row]) -> None:
        """Log tool calls of logged calls, each once.

        Rows (call_id, call_occurred_at µs, position from 1, name, ok, attempts, latency_ms, error, stale, partial,
        empty, items, data_at µs, documents as JSON text).
        """
        if self._calls != "none":
            self._append("tool_calls", rows)

    def append_checks(self, rows: Sequence[Row]) -> None:
        """Log what rules of contracts found in logged calls; the last one appended for a rule and call is current.

        Rows (call_id, call_occurred_at µs, task_type, model, config, contract, contract_version, rule, type, severity,
        result, actual, threshold, details).
        """
        if self._calls != "none":
            self._append("checks", rows)

    def append_attempts(self, rows: Sequence[Row]) -> None:
        """Log failed attempts of logged calls, each once.

        Rows (call_id, call_occurred_at µs, attempt from 1, model, config, latency_ms, cost_usd, error).
        """
        if self._calls != "none":
            self._append("attempts", rows)

    def append_verdicts(self, rows: Sequence[Row]) -> None:
        """Log verdicts; the last one appended for a call is current.

        Rows (call_id, call_occurred_at µs, verdict, score, source, verdict_at µs, statements, revisions).
        """
        if self._calls != "none":
            self._append("verdicts", rows)

    def append_statements(self, rows: Sequence[Row]) -> None:
        """Log statements; the last one appended for an edition of an outcome is current.

        Rows (call_id, call_occurred_at µs, outcome_id, edition, source, author, occurred_at µs, action, success, score,
        reason, scorer, stands).
        """
        if self._calls != "none":
            self._append("statements", rows)

    def append_marks(self, rows: Sequence[Row]) -> None:
        """Log accepted marks. Rows (mark_id, occurred_at µs, task_type, text, received_at µs)."""
        self._append("marks", rows)

    def append_dead_letters(self, letters: Iterable[Mapping[str, Any]]) -> None:
        """Log dead letters as in section 3 of the reference, `origin` a dict or None, and `received_at` in µs."""
        fields = tuple(tables.LOGS["dead_letters"])
        self._append("dead_letters", [tuple(_plain(letter.get(name)) for name in fields) for letter in letters])

    def append_alerts(self, alerts: Iterable[Alert]) -> None:
        """Log alerts; of one `alert_id` the greatest `seq` is published."""
        fields = tuple(tables.LOGS["alerts"])
        self._append("alerts", [tuple(_plain(getattr(alert, name)) for name in fields) for alert in alerts])

    def append_digests(self, digests: Iterable[Digest]) -> None:
        """Log weekly digests; each becomes one row per entry, or one row without an entry if it has none."""
        self._append("digests", [row for item in digests for row in _digest_rows(item)])

    def append_recommendations(self, recommendations: Iterable[Recommendation]) -> None:
        """Log recommendations; each becomes one row per segment and arm, or one row with neither if it has none."""
        self._append("recommendations", [row for item in recommendations for row in _arm_rows(item)])

    def append_trust(self, records: Iterable[TrustRecord]) -> None:
        """Log records of trust; of one series the last is published as the newest."""
        fields = tuple(tables.LOGS["trust"])
        self._append("trust", [tuple(_plain(getattr(record, name)) for name in fields) for record in records])

    def commit(self, cut: int) -> None:
        """Make all rows appended since the last commit durable under a cut, in one transaction.

        Args:
            cut: The previous cut plus one: rows are already being written under it.

        Raises:
            ValueError: `cut` is another number.
            SnapshotError: The disk is full, or the database cannot be written for another reason.
        """
        if cut != self._cut + 1:
            msg = f"snapshot: the next cut must be {self._cut + 1}; got {cut} (call resume first)"
            raise ValueError(msg)
        with naming(self._live_file):
            self._begin()
            for table in self._buffers:
                self._flush(table)
            self._connection.execute("UPDATE last_cut SET cut = ?", [cut])
            self._connection.commit()
        self._writing = False
        self._cut = cut

    def forget(self, before_us: Mapping[str, int]) -> None:
        """Drop old rows of logs, by time; to be called right after `commit`.

        Args:
            before_us: `calls` (with their verdicts), `statements`, `dead_letters`, `alerts` (with digests and marks),
                `recommendations` or `trust` -> µs.
        """
        columns = {
            "calls": (
                ("calls", "occurred_at"),
                ("completions", "call_occurred_at"),
                ("attempts", "call_occurred_at"),
                ("tool_calls", "call_occurred_at"),
                ("checks", "call_occurred_at"),
                ("verdicts", "call_occurred_at"),
            ),
            "statements": (("statements", "call_occurred_at"),),
            "dead_letters": (("dead_letters", "received_at"),),
            "alerts": (("alerts", "updated_at"), ("digests", "issued_at"), ("marks", "occurred_at")),
            "recommendations": (("recommendations", "issued_at"),),
            "trust": (("trust", "as_of"),),
        }
        with naming(self._live_file):
            self._connection.begin()
            for name, before in before_us.items():
                for table, column in columns[name]:
                    self._connection.execute(f"DELETE FROM {table} WHERE {column} < ?", [before])
            self._connection.commit()

    def erase(self, call_ids: Sequence[str], sessions: Sequence[str] = ()) -> dict[str, int]:
        """Delete all rows of calls and the dead letters that name one; to be called right after `commit`.

        Returns:
            The number of deleted rows by table. Their bytes stay in the file until `rewrite`.
        """
        with naming(self._live_file):
            return delete_calls(self._connection, call_ids, sessions)

    def rewrite(self) -> None:
        """Rewrite the live database without the deleted rows, while nothing is being published; O(its size)."""
        with naming(self._live_file):
            rewrite(self._connection, self._live_file)
            self._connection = self._open()

    def begin_publish(self) -> Publication:
        """A publication of the last commit; its `write` may run in another thread. One at a time."""
        with naming(self._live_file):
            return Publication(
                self._connection, self._live_file, self.folder, keep=self._keep, calls=self._calls, mode=self._mode
            )

    def publish(self, pipeline: Mapping[str, Any], rates: Mapping[str, Any], current_rates: Mapping[str, Any]) -> Path:
        """Publish the last commit now; see `Publication.write`."""
        return self.begin_publish().write(pipeline, rates, current_rates)

    def close(self) -> None:
        """Close the live database; rows that were not committed are lost."""
        self._connection.close()

    def _open(self) -> duckdb.DuckDBPyConnection:
        spill = str(self._live_file.parent / "spill")
        settings: dict[str, Any] = {
            "threads": 1,
            "memory_limit": f"{self._memory_mb}MB",
            "temp_directory": spill,
            "preserve_insertion_order": True,
        }
        try:
            connection = duckdb.connect(str(self._live_file), config=settings)
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise
            reason = str(error).splitlines()[0]
            msg = (
                f"snapshot {self._live_file}: it must be this pipeline's alone; {reason} "
                "(stop the other pipeline, or choose another --out)"
            )
            raise SnapshotError(msg) from error
        for table, columns in tables.LOGS.items():
            with_cut = {**columns, "cut": "BIGINT"}
            statement = create(table, with_cut)
            connection.execute(statement.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
            present = [row[0] for row in connection.execute(f"DESCRIBE {table}").fetchall()]
            if with_cut.keys() - set(present):  # an earlier version wrote it
                connection.begin()
                for change in widened(table, with_cut, present):
                    connection.execute(change)
                connection.commit()
        connection.execute("CREATE TABLE IF NOT EXISTS last_cut (cut BIGINT)")
        connection.execute("INSERT INTO last_cut SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM last_cut)")
        return connection

    def _committed_cut(self) -> int:
        return int(self._connection.execute("SELECT cut FROM last_cut").fetchall()[0][0])

    def _append(self, table: str, rows: Iterable[Row]) -> None:
        buffer = self._buffers[table]
        buffer.extend(rows)
        if len(buffer) >= _FLUSH_ROWS:
            with naming(self._live_file):
                self._begin()
                self._flush(table)

    def _begin(self) -> None:
        if not self._writing:
            self._connection.begin()
            self._writing = True

    def _flush(self, table: str) -> None:
        rows, self._buffers[table] = self._buffers[table], []
        if rows:
            arrays, listed = columns_of(rows, tables.LOGS[table])
            self._connection.register("appended", arrays)
            self._connection.execute(f"INSERT INTO {table} SELECT {listed}, {self._cut + 1} FROM appended")
            self._connection.unregister("appended")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_us(value)
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    if hasattr(value, "model_dump"):
        return json.dumps(value.model_dump(mode="json"), ensure_ascii=False)
    if isinstance(value, list):
        return json.dumps([part.model_dump(mode="json") for part in value], ensure_ascii=False)
    return value


def _digest_rows(item: Digest) -> Iterable[Row]:
    head = (item.event_id, item.week, _plain(item.issued_at), item.groups, item.false_discovery_rate)
    fields = ("task_type", "model", "config", "direction", "baseline", "current", "trials", "e_value")
    for rank, entry in enumerate(item.entries, 1):
        yield (*head, rank, *(getattr(entry, name) for name in fields))
    if not item.entries:
        yield (*head, *(None for _ in ("rank", *fields)))


def _arm_rows(item: Recommendation) -> Iterable[Row]:
    degraded = json.dumps([entry.model_dump() for entry in item.degraded], sort_keys=True, ensure_ascii=False)
    head = (
        item.event_id,
        item.seq,
        item.recommendation_id,
        item.task_type,
        _plain(item.issued_at),
        _plain(item.valid_until),
    )
    fields = ("model", "config", "weight", "p_best", "rate", "rate_low", "rate_high", "n", "status")
    arms = [(segment.segment, arm) for segment in item.segments for arm in segment.arms]
    for segment, arm in arms:
        yield (*head, segment, *(getattr(arm, name) for name in fields), degraded, item.reason)
    if not arms:
        yield (*head, *(None for _ in ("segment", *fields)), degraded, item.reason)
