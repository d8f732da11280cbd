"""Defines the snapshot's tables: the logs, the published tables, and the SQL between them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from aftercall.times import NEVER
from aftercall.vocabulary import CALL

Table = dict[str, str]
"""Column name -> DuckDB type, in order."""

_DETAILS: Final[Table] = {
    "parent_call_id": "VARCHAR",
    "recommendation_id": "VARCHAR",
    "propensity": "DOUBLE",
    "policy_version": "VARCHAR",
    "rollout_id": "VARCHAR",
    "rollout_arm": "VARCHAR",
    "rollout_step": "BIGINT",
    "tokens_in": "BIGINT",
    "tokens_out": "BIGINT",
    "tool_calls": "BIGINT",
}
"""The last columns of a call's first record, and of one that completes it."""

LOGS: Final[dict[str, Table]] = {
    "calls": {
        "call_id": "VARCHAR",
        "occurred_at": "BIGINT",
        "task_type": "VARCHAR",
        "model": "VARCHAR",
        "config": "VARCHAR",
        "segment": "VARCHAR",
        "session_id": "VARCHAR",
        "latency_ms": "DOUBLE",
        "cost_usd": "DOUBLE",
        "tokens": "BIGINT",
        "error": "VARCHAR",
        "attrs": "VARCHAR",
        **_DETAILS,
    },
    "completions": {
        "call_id": "VARCHAR",
        "call_occurred_at": "BIGINT",
        "session_id": "VARCHAR",
        "latency_ms": "DOUBLE",
        "cost_usd": "DOUBLE",
        "tokens": "BIGINT",
        "error": "VARCHAR",
        "attrs": "VARCHAR",
        **_DETAILS,
    },
    "tool_calls": {
        "call_id": "VARCHAR",
        "call_occurred_at": "BIGINT",
        "position": "INTEGER",
        "name": "VARCHAR",
        "ok": "BOOLEAN",
        "attempts": "BIGINT",
        "latency_ms": "DOUBLE",
        "error": "VARCHAR",
        "stale": "BOOLEAN",
        "partial": "BOOLEAN",
        "empty": "BOOLEAN",
        "items": "BIGINT",
        "data_at": "BIGINT",
        "documents": "VARCHAR",
    },
    "attempts": {
        "call_id": "VARCHAR",
        "call_occurred_at": "BIGINT",
        "attempt": "INTEGER",
        "model": "VARCHAR",
        "config": "VARCHAR",
        "latency_ms": "DOUBLE",
        "cost_usd": "DOUBLE",
        "error": "VARCHAR",
    },
    "verdicts": {
        "call_id": "VARCHAR",
        "call_occurred_at": "BIGINT",
        "verdict": "VARCHAR",
        "score": "DOUBLE",
        "source": "VARCHAR",
        "verdict_at": "BIGINT",
        "statements": "INTEGER",
        "revisions": "INTEGER",
    },
    "statements": {
        "call_id": "VARCHAR",
        "call_occurred_at": "BIGINT",
        "outcome_id": "VARCHAR",
        "source": "VARCHAR",
        "occurred_at": "BIGINT",
        "action": "VARCHAR",
        "success": "BOOLEAN",
        "score": "DOUBLE",
        "reason": "VARCHAR",
        "stands": "BOOLEAN",
    },
    "dead_letters": {
        "event_id": "VARCHAR",
        "reason": "VARCHAR",
        "detail": "VARCHAR",
        "origin": "VARCHAR",
        "size": "BIGINT",
        "sha256": "VARCHAR",
        "payload": "VARCHAR",
        "received_at": "BIGINT",
        "redriven_of": "VARCHAR",
    },
    "alerts": {
        "event_id": "VARCHAR",
        "seq": "BIGINT",
        "alert_id": "VARCHAR",
        "state": "VARCHAR",
        "kind": "VARCHAR",
        "severity": "VARCHAR",
        "opened_at": "BIGINT",
        "updated_at": "BIGINT",
        "closed_at": "BIGINT",
        "task_type": "VARCHAR",
        "model": "VARCHAR",
        "config": "VARCHAR",
        "metric": "VARCHAR",
        "direction": "VARCHAR",
        "baseline": "DOUBLE",
        "current": "DOUBLE",
        "effect_low": "DOUBLE",
        "effect_high": "DOUBLE",
        "changed_at": "BIGINT",
        "promise": "VARCHAR",
        "reason": "VARCHAR",
        "evidence": "VARCHAR",
        "failures_per_day": "DOUBLE",
        "caveat": "VARCHAR",
        "slices": "VARCHAR",
    },
    "digests": {
        "event_id": "VARCHAR",
        "week": "VARCHAR",
        "issued_at": "BIGINT",
        "groups": "BIGINT",
        "false_discovery_rate": "DOUBLE",
        "rank": "BIGINT",
        "task_type": "VARCHAR",
        "model": "VARCHAR",
        "config": "VARCHAR",
        "direction": "VARCHAR",
        "baseline": "DOUBLE",
        "current": "DOUBLE",
        "trials": "BIGINT",
        "e_value": "DOUBLE",
    },
    "recommendations": {
        "event_id": "VARCHAR",
        "seq": "BIGINT",
        "recommendation_id": "VARCHAR",
        "task_type": "VARCHAR",
        "issued_at": "BIGINT",
        "valid_until": "BIGINT",
        "segment": "VARCHAR",
        "model": "VARCHAR",
        "config": "VARCHAR",
        "weight": "DOUBLE",
        "p_best": "DOUBLE",
        "rate": "DOUBLE",
        "rate_low": "DOUBLE",
        "rate_high": "DOUBLE",
        "n": "BIGINT",
        "status": "VARCHAR",
        "degraded": "VARCHAR",
        "reason": "VARCHAR",
    },
}
"""Append-only logs of the live database. Times are BIGINT µs (cheap to append); each also has `cut` BIGINT."""

COUNTERS: Final = (
    "records",
    "calls",
    "completed",
    "attempts",
    "outcomes",
    "duplicates",
    "waiting",
    "orphans",
    "late",
    "conflicts",
    "dead_letters",
    "pending",
    "successes",
    "failures",
    "expired",
)

_MEASURES: Final[Table] = {
    "calls": "BIGINT",
    "resolved": "BIGINT",
    "successes": "BIGINT",
    "failures": "BIGINT",
    "expired": "BIGINT",
    "pending": "BIGINT",
    "rate": "DOUBLE",
    "rate_low": "DOUBLE",
    "rate_high": "DOUBLE",
    "corrected_rate": "DOUBLE",
    "corrected_low": "DOUBLE",
    "corrected_high": "DOUBLE",
    "maturity": "DOUBLE",
    "latency_p50_ms": "DOUBLE",
    "latency_p95_ms": "DOUBLE",
    "cost_usd": "DOUBLE",
}
_GROUP: Final[Table] = {"task_type": "VARCHAR", "model": "VARCHAR", "config": "VARCHAR"}

_TIMES: Final = frozenset(
    {
        "occurred_at",
        "call_occurred_at",
        "data_at",
        "verdict_at",
        "received_at",
        "opened_at",
        "updated_at",
        "closed_at",
        "changed_at",
        "issued_at",
        "valid_until",
        "window_start",
        "as_of",
        "written_at",
        "watermark",
        "first_at",
        "last_at",
    }
)


def _published(log: str, *, without: tuple[str, ...] = ()) -> Table:
    return {
        column: "TIMESTAMP" if column in _TIMES else kind for column, kind in LOGS[log].items() if column not in without
    }


PUBLISHED: Final[dict[str, Table]] = {
    "calls": {
        "call_id": "VARCHAR",
        "attempt": "INTEGER",
        **_published("calls", without=("call_id", *_DETAILS)),
        "verdict": "VARCHAR",
        "score": "DOUBLE",
        "verdict_source": "VARCHAR",
        "verdict_at": "TIMESTAMP",
        "statements": "INTEGER",
        "revisions": "INTEGER",
        **_DETAILS,
    },
    "statements": _published("statements", without=("call_occurred_at",)),
    "tool_calls": _published("tool_calls"),
    "tool_rates": {
        "task_type": "VARCHAR",
        "tool": "VARCHAR",
        "window_start": "TIMESTAMP",
        "calls": "BIGINT",
        "failures": "BIGINT",
        "retries": "BIGINT",
    },
    "rates": {**_GROUP, "grain": "VARCHAR", "window_start": "TIMESTAMP", **_MEASURES},
    "current_rates": {**_GROUP, "span": "VARCHAR", **_MEASURES, "as_of": "TIMESTAMP"},
    "alerts": _published("alerts"),
    "digests": _published("digests"),
    "recommendations": _published("recommendations"),
    "dead_letters": _published("dead_letters"),
    "pipeline": {
        "version": "BIGINT",
        "written_at": "TIMESTAMP",
        "watermark": "TIMESTAMP",
        **dict.fromkeys(COUNTERS, "BIGINT"),
        "positions": "VARCHAR",
    },
    "pipeline_warnings": {
        "kind": "VARCHAR",
        "subject": "VARCHAR",
        "count": "BIGINT",
        "first_at": "TIMESTAMP",
        "last_at": "TIMESTAMP",
        "detail": "VARCHAR",
    },
}
"""The tables readers see (docs/reference.md, section 4).

attrs, documents, origin, evidence, slices, degraded, positions are JSON text.
"""


def create(table: str, columns: Table) -> str:
    """The SQL statement that creates a table."""
    listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    return f"CREATE TABLE {table} ({listed})"


def widened(table: str, columns: Table, present: Collection[str]) -> tuple[str, ...]:
    """The SQL statements that give a table the columns that it lacks, empty; rows and their order stay."""
    values = ", ".join(
        f'"{name}"' if name in present else f'NULL::{kind} AS "{name}"' for name, kind in columns.items()
    )
    return (
        f"CREATE TABLE widened AS SELECT {values} FROM {table} ORDER BY rowid",
        f"DROP TABLE {table}",
        f"ALTER TABLE widened RENAME TO {table}",
    )


def read(column: str, kind: str, prefix: str = "") -> str:
    """The SQL that turns a logged or computed column into the published one: times from µs, no nan, no sentinel."""
    name = f'{prefix}"{column}"'
    if kind == "TIMESTAMP":
        return f"make_timestamp(nullif({name}, {NEVER}))"
    if kind == "DOUBLE":
        return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END"
    if column == "tokens":
        return f"nullif({name}, -1)"
    return name


def select(table: str, prefix: str = "", *, only: tuple[str, ...] | None = None) -> str:
    """The published columns of a table (or `only` these) as a select list."""
    return ", ".join(
        f'{read(column, kind, prefix)} AS "{column}"'
        for column, kind in PUBLISHED[table].items()
        if only is None or column in only
    )


# Of several rows of one key the last appended is current; a row id is the order of appending, also after rows were
# dropped.
NEWEST_VERDICTS: Final = """
SELECT * FROM live.verdicts
WHERE rowid IN (SELECT max(rowid) FROM live.verdicts GROUP BY call_id, call_occurred_at)
"""

# What the records of a call filled: each column of a call is filled once, by its first record or by another one.
_FILLED: Final = tuple(LOGS["completions"])[2:]
COMPLETIONS: Final = f"""
SELECT call_id, call_occurred_at, {", ".join(f"any_value({name}) AS {name}" for name in _FILLED)}
FROM live.completions GROUP BY call_id, call_occurred_at
"""


def _call_column(name: str) -> str:
    """A column of a published call, from its first record or from one that completed it."""
    first = read(name, PUBLISHED["calls"][name], "c.")
    if name not in _FILLED:
        return first
    # Empty `attrs` are absent, so another record may have filled them.
    return f"coalesce({first}, k.{name})" if name != "attrs" else f"coalesce(nullif({first}, '{{}}'), k.attrs, {first})"


MERGED_CALLS: Final = f"""
SELECT {_call_column("call_id")}, 0 AS attempt,
  {", ".join(f'{_call_column(name)} AS "{name}"' for name in tuple(LOGS["calls"])[1:] if name not in _DETAILS)},
  coalesce(v.verdict, 'pending') AS verdict,
  {read("score", "DOUBLE", "v.")} AS score,
  v.source AS verdict_source,
  {read("verdict_at", "TIMESTAMP", "v.")} AS verdict_at,
  coalesce(v.statements, 0) AS statements,
  coalesce(v.revisions, 0) AS revisions,
  {", ".join(f'{_call_column(name)} AS "{name}"' for name in _DETAILS)}
FROM live.calls c LEFT JOIN ({NEWEST_VERDICTS}) v
  ON v.call_id = c.call_id AND v.call_occurred_at = c.occurred_at
LEFT JOIN ({COMPLETIONS}) k
  ON k.call_id = c.call_id AND k.call_occurred_at = c.occurred_at
"""

# A failed attempt has what its call has, but for what is its own; it is decided by its error.
_OWN: Final = {
    **{name: f"a.{name}" for name in ("attempt", "model", "config", "error")},
    **{name: read(name, "DOUBLE", "a.") for name in ("latency_ms", "cost_usd")},
    **dict.fromkeys(("tokens", "tokens_in", "tokens_out", "tool_calls", "attrs", "score"), "NULL"),
    **dict.fromkeys(("recommendation_id", "propensity"), "NULL"),  # those of the model that answered
    "verdict": "'failure'",
    "verdict_source": f"'{CALL}'",
    "verdict_at": "p.occurred_at",
    "statements": "0",
    "revisions": "0",
}
ATTEMPTS: Final = f"""
SELECT {", ".join(f'{_OWN.get(name, f"p.{name}")} AS "{name}"' for name in PUBLISHED["calls"])}
FROM live.attempts a JOIN published.calls p
  ON p.call_id = a.call_id AND p.attempt = 0 AND p.occurred_at = make_timestamp(a.call_occurred_at)
"""

NEWEST_STATEMENTS: Final = f"""
SELECT {select("statements")} FROM live.statements
WHERE rowid IN (SELECT max(rowid) FROM live.statements GROUP BY call_id, call_occurred_at, outcome_id)
"""

TOOL_CALLS: Final = f"SELECT {select('tool_calls')} FROM live.tool_calls"

NEWEST_ALERTS: Final = f"""
SELECT {select("alerts")} FROM live.alerts
WHERE rowid IN (SELECT max_by(rowid, seq) FROM live.alerts GROUP BY alert_id)
"""
