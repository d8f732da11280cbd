"""Defines the snapshot's tables: the logs, the published tables, and the SQL between them."""

from __future__ import annotations

from typing import Final

from aftercall.times import NEVER
from connectors.snapshot.trust_table import TRUST

Table = dict[str, str]
"""Column name -> DuckDB type, in order."""

DETAILS: Final[Table] = {
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
        **DETAILS,
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
        **DETAILS,
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
    "checks": {
        "call_id": "VARCHAR",
        "call_occurred_at": "BIGINT",
        **dict.fromkeys(("task_type", "model", "config", "contract", "contract_version", "rule"), "VARCHAR"),
        **dict.fromkeys(("type", "severity", "result", "actual", "threshold", "details"), "VARCHAR"),
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
        "edition": "INTEGER",
        "source": "VARCHAR",
        "author": "VARCHAR",
        "occurred_at": "BIGINT",
        "action": "VARCHAR",
        "success": "BOOLEAN",
        "score": "DOUBLE",
        "reason": "VARCHAR",
        "scorer": "VARCHAR",
        "stands": "BOOLEAN",
    },
    "marks": {
        "mark_id": "VARCHAR",
        "occurred_at": "BIGINT",
        "task_type": "VARCHAR",
        "text": "VARCHAR",
        "received_at": "BIGINT",
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
        "split": "VARCHAR",
        "mixes": "VARCHAR",
        "other_alarms": "VARCHAR",
        "mark": "VARCHAR",
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
    "trust": TRUST,
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
    "session_late",
    "session_cut",
    "sessions_dropped",
    "texts_kept",
    "texts_aged_out",
    "texts_pushed_out",
    "marks",
    "checks_disagreed",
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
_SOURCE_MEASURES: Final[Table] = {
    name: kind
    for name, kind in _MEASURES.items()
    if name not in {"calls", "expired", "pending", "latency_p50_ms", "latency_p95_ms", "cost_usd"}
}
_POWER: Final[Table] = dict.fromkeys(
    ("outcomes_per_day", "power_days", "power_within_week", "design_effect", "task_design_effect"), "DOUBLE"
)
"""The same in every span of a group."""
_GROUP: Final[Table] = {"task_type": "VARCHAR", "model": "VARCHAR", "config": "VARCHAR"}
_SOURCE: Final[Table] = {**_GROUP, "source": "VARCHAR"}

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
        **_published("calls", without=("call_id", *DETAILS)),
        "verdict": "VARCHAR",
        "score": "DOUBLE",
        "verdict_source": "VARCHAR",
        "verdict_at": "TIMESTAMP",
        "statements": "INTEGER",
        "revisions": "INTEGER",
        **DETAILS,
        "call_hash": "UINTEGER",
    },
    "statements": {**_published("statements", without=("call_occurred_at",)), "call_occurred_at": "TIMESTAMP"},
    "tool_calls": _published("tool_calls"),
    "tool_rates": {
        "task_type": "VARCHAR",
        "tool": "VARCHAR",
        "window_start": "TIMESTAMP",
        "calls": "BIGINT",
        "failures": "BIGINT",
        "retries": "BIGINT",
    },
    "checks": _published("checks"),
    "check_rates": {
        **_GROUP,
        "contract": "VARCHAR",
        "contract_version": "VARCHAR",
        "rule": "VARCHAR",
        "grain": "VARCHAR",
        "window_start": "TIMESTAMP",
        **dict.fromkeys(("checked", "passed", "failed", "not_applicable", "errors"), "BIGINT"),
        **dict.fromkeys(("rate", "rate_low", "rate_high"), "DOUBLE"),
    },
    "contracts": {
        **dict.fromkeys(("contract", "version", "hash"), "VARCHAR"),
        **dict.fromkeys(("effective_from", "effective_until"), "TIMESTAMP"),
        "calls": "BIGINT",
        **dict.fromkeys(("first_at", "last_at"), "TIMESTAMP"),
    },
    "rates": {**_GROUP, "grain": "VARCHAR", "window_start": "TIMESTAMP", **_MEASURES},
    "segment_rates": {**_GROUP, "segment": "VARCHAR", "grain": "VARCHAR", "window_start": "TIMESTAMP", **_MEASURES},
    "current_rates": {**_GROUP, "span": "VARCHAR", **_MEASURES, "as_of": "TIMESTAMP", **_POWER},
    "source_rates": {**_SOURCE, "grain": "VARCHAR", "window_start": "TIMESTAMP", **_SOURCE_MEASURES},
    "source_current_rates": {**_SOURCE, "span": "VARCHAR", **_SOURCE_MEASURES, "as_of": "TIMESTAMP"},
    "alerts": _published("alerts"),
    "digests": _published("digests"),
    "suspicions": {
        "as_of": "TIMESTAMP",
        **_GROUP,
        "metric": "VARCHAR",
        "direction": "VARCHAR",
        "baseline": "DOUBLE",
        "current": "DOUBLE",
        "trials": "BIGINT",
        "changed_at": "TIMESTAMP",
        "strength": "DOUBLE",
        "odds": "DOUBLE",
    },
    "recommendations": _published("recommendations"),
    "trust": {**_published("trust"), "newest": "BOOLEAN"},
    "marks": _published("marks"),
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

attrs, documents, origin, evidence, slices, split, mixes, other_alarms, degraded, dimensions, moved, positions are JSON
text.
"""


def read(column: str, kind: str, prefix: str = "") -> str:
    """The SQL that turns a logged or computed column into the published one: times from µs, no nan, no sentinel."""
    name = f'{prefix}"{column}"'
    if kind == "TIMESTAMP":
        return f"make_timestamp(nullif({name}, {NEVER}))"
    if kind == "DOUBLE":
        return f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END"
    if column == "tokens":
        return f"nullif({name}, -1)"
    if column == "edition":  # rows of versions without editions
        return f"coalesce({name}, 1)"
    return name


def select(table: str, prefix: str = "", *, only: tuple[str, ...] | None = None) -> str:
    """The published columns of a table (or `only` these) as a select list."""
    return ", ".join(
        f'{read(column, kind, prefix)} AS "{column}"'
        for column, kind in PUBLISHED[table].items()
        if only is None or column in only
    )
