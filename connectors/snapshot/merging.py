"""Has the SQL that makes published tables of logs: the newest row of each key, and calls with all that is theirs."""

from __future__ import annotations

from typing import Final

from aftercall.vocabulary import CALL
from connectors.snapshot.sql import call_hash
from connectors.snapshot.tables import DETAILS, LOGS, PUBLISHED, read, select

# Of several rows of one key the last appended is current; a row id is the order of appending, also after rows were
# dropped.
NEWEST_VERDICTS: Final = """
SELECT * FROM live.verdicts
WHERE rowid IN (SELECT max(rowid) FROM live.verdicts GROUP BY call_id, call_occurred_at)
"""

# What the records of a call filled: each column of a call is filled once, by its first record or by another one. Only
# of tool calls a record may say how many there were, and another one what they did.
_FILLED: Final = tuple(LOGS["completions"])[2:]
_NUMBER: Final = "tool_calls"
COMPLETIONS: Final = f"""
SELECT call_id, call_occurred_at,
  {", ".join(f"{'max' if name == _NUMBER else 'any_value'}({name}) AS {name}" for name in _FILLED)}
FROM live.completions GROUP BY call_id, call_occurred_at
"""


def _call_column(name: str) -> str:
    """A column of a published call, from its first record or from one that completed it."""
    first = read(name, PUBLISHED["calls"][name], "c.")
    if name not in _FILLED:
        return first
    if name == _NUMBER:
        return f"greatest({first}, k.{name})"  # without the absent one
    # Empty `attrs` are absent, so another record may have filled them.
    return f"coalesce({first}, k.{name})" if name != "attrs" else f"coalesce(nullif({first}, '{{}}'), k.attrs, {first})"


MERGED_CALLS: Final = f"""
SELECT {_call_column("call_id")}, 0 AS attempt,
  {", ".join(f'{_call_column(name)} AS "{name}"' for name in tuple(LOGS["calls"])[1:] if name not in DETAILS)},
  coalesce(v.verdict, 'pending') AS verdict,
  {read("score", "DOUBLE", "v.")} AS score,
  v.source AS verdict_source,
  {read("verdict_at", "TIMESTAMP", "v.")} AS verdict_at,
  coalesce(v.statements, 0) AS statements,
  coalesce(v.revisions, 0) AS revisions,
  {", ".join(f'{_call_column(name)} AS "{name}"' for name in DETAILS)},
  {call_hash("c.call_id")} AS call_hash
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
WHERE rowid IN (
  SELECT max(rowid) FROM live.statements GROUP BY call_id, call_occurred_at, outcome_id, {read("edition", "INTEGER")}
)
"""

TOOL_CALLS: Final = f"SELECT {select('tool_calls')} FROM live.tool_calls"

# A rule that lacked something may be judged by a later record of its call.
NEWEST_CHECKS: Final = f"""
SELECT {select("checks")} FROM live.checks
WHERE rowid IN (SELECT max(rowid) FROM live.checks GROUP BY call_id, call_occurred_at, contract, contract_version, rule)
"""

NEWEST_ALERTS: Final = f"""
SELECT {select("alerts")} FROM live.alerts
WHERE rowid IN (SELECT max_by(rowid, seq) FROM live.alerts GROUP BY alert_id)
"""

# A row is the newest of its series where no later one is as of a later hour.
_SERIES: Final = "task_type, model, config"
TRUST_ROWS: Final = f"""
SELECT {select("trust", only=tuple(LOGS["trust"]))}, row_number() OVER (PARTITION BY {_SERIES} ORDER BY rowid DESC) = 1
FROM live.trust ORDER BY rowid
"""
