"""Reads out of a snapshot what a suite and production have in common: the calls of each by their strata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aftercall.errors import UserError

if TYPE_CHECKING:
    import duckdb

DIMENSIONS: Final = ("segment", "length", "tool")
"""The most important first; the tool last, as most snapshots have it of few calls."""
ENOUGH: Final = 0.9
"""Of a dimension, so many of the suite's and of production's calls must have a value."""
NONE: Final = "none"
OTHERS: Final = "others"


class NotEmittedError(UserError):
    """The snapshot has no answers of the suite."""


class SuiteInSnapshot:
    """One emitted run of a suite, and production, in one snapshot."""

    def __init__(self, opened: duckdb.DuckDBPyConnection, task: str, production: str | None) -> None:
        """Find the newest run.

        Args:
            opened: as `aftercall.open_snapshot`.
            task: the task type of the suite's answers, `eval:...`.
            production: the task type of production; None: all that are not of suites.

        Raises:
            NotEmittedError: the snapshot has no answer of the suite.
        """
        run = opened.execute(_NEWEST, [task]).fetchone()
        if run is None:
            raise NotEmittedError(
                f"--snapshot: must have answers of task type {task}; it has none"
                " (run the suite with --emit, into the topics or files that this snapshot is made of)"
            )
        self.run_id: Final = str(run[0])
        self._opened, self._production = opened, production
        self._given = [task, self.run_id, production, production]

    def cells(self, known: tuple[str, ...]) -> list[tuple[Any, ...]]:
        """Rows (whether of the suite, case, segment, length, tool, calls, successes, calls with a verdict)."""
        return self._opened.execute(_CELLS.format(**_values(known)), self._given).fetchall()

    def dimensions(self) -> tuple[tuple[str, ...], list[str]]:
        """Which dimensions both sides have, and sentences on those that one has not."""
        found = {bool(row[0]): row[1:] for row in self._opened.execute(_KNOWN, self._given).fetchall()}
        suite, calls = found.get(True, (0, 0, 0, 0)), found.get(False, (0, 0, 0, 0))
        reasons = {
            "segment": "no case has metadata.segment" if not suite[0] and calls[0] else "",
            "length": _lacking(suite[1], calls[1]),
            "tool": _untold(suite[2:], calls[2:]),
        }
        known = tuple(name for name in DIMENSIONS if not reasons[name])
        return known, [f"{name}: {reason}" for name, reason in reasons.items() if reason]

    def design_effect(self) -> float:
        """Of production's outcomes: the largest of its task types."""
        row = self._opened.execute(_EFFECT, [self._production, self._production]).fetchone()
        return 1.0 if row is None or row[0] is None else max(float(row[0]), 1.0)


def _lacking(suite: float, calls: float) -> str:
    if calls < ENOUGH:
        return f"tokens_in is absent from {1 - calls:.0%} of production's calls"
    return f"tokens_in is absent from {1 - suite:.0%} of the suite's answers" if suite < ENOUGH else ""


def _untold(suite: tuple[Any, ...], calls: tuple[Any, ...]) -> str:
    """Of both: how many tool calls there were, and how many have a row."""
    if not suite[0] + calls[0]:
        return "no call reports tools"
    kept = min(suite[1] - ENOUGH * suite[0], calls[1] - ENOUGH * calls[0]) >= 0
    return "" if kept else 'the snapshot has only tool calls that went wrong (set snapshot.tools = "all")'


def _values(known: tuple[str, ...]) -> dict[str, str]:
    """The expression of each dimension; a constant for one that is not known."""
    made = {
        "segment": f"coalesce(segment, '{NONE}')",
        "length": "if(tokens_in <= thirds[1], 'short', if(tokens_in > thirds[2], 'long', 'medium'))",
        "tool": f"coalesce(tool, '{NONE}')",
    }
    return {name: made[name] if name in known else f"'{OTHERS}'" for name in DIMENSIONS}


_NEWEST: Final = """
SELECT json_extract_string(attrs, '$.eval_run') AS run FROM calls
WHERE task_type = ? AND attempt = 0 AND run IS NOT NULL ORDER BY occurred_at DESC LIMIT 1
"""
_BOTH: Final = """
SELECT c.*, c.task_type LIKE 'eval:%' AS of_suite FROM calls c WHERE c.attempt = 0 AND (
    (c.task_type = ? AND json_extract_string(c.attrs, '$.eval_run') = ?
        AND coalesce(json_extract_string(c.attrs, '$.eval_attempt')::DOUBLE, 0) = 0)
    OR (c.task_type NOT LIKE 'eval:%' AND (?::VARCHAR IS NULL OR c.task_type = ?)))
"""
_CELLS: Final = (
    "WITH picked AS ("
    + _BOTH
    + """), bounds AS (
    SELECT quantile_cont(tokens_in, [0.3333, 0.6667]) AS thirds FROM picked WHERE NOT of_suite
), firsts AS (
    SELECT call_id, call_occurred_at, first(name ORDER BY position) AS tool FROM tool_calls GROUP BY ALL
), valued AS (
    SELECT of_suite, CASE WHEN of_suite THEN json_extract_string(attrs, '$.eval_case') END AS case_id,
        {segment} AS segment, {length} AS length, {tool} AS tool, verdict
    FROM picked CROSS JOIN bounds
    LEFT JOIN firsts ON firsts.call_id = picked.call_id AND firsts.call_occurred_at = picked.occurred_at
)
SELECT of_suite, case_id, segment, length, tool, count(*), count(*) FILTER (verdict = 'success'),
    count(*) FILTER (verdict IN ('success', 'failure'))
FROM valued GROUP BY ALL ORDER BY of_suite DESC, case_id, segment, length, tool
"""
)
_KNOWN: Final = (
    "WITH picked AS ("
    + _BOTH
    + """)
SELECT of_suite, count(segment) / count(*), count(tokens_in) / count(*), coalesce(sum(tool_calls), 0),
    coalesce(sum(kept), 0)
FROM picked LEFT JOIN (SELECT call_id, call_occurred_at, count(*) AS kept FROM tool_calls GROUP BY ALL) k
    ON k.call_id = picked.call_id AND k.call_occurred_at = picked.occurred_at
GROUP BY of_suite
"""
)


_EFFECT: Final = """
SELECT max(task_design_effect) FROM current_rates WHERE task_type NOT LIKE 'eval:%'
    AND (?::VARCHAR IS NULL OR task_type = ?)
"""
