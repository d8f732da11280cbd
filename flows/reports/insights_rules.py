"""Compares how often rules of contracts pass in the two spans of `insights`.

Every checked call counts, answered or not, so these rates lack the bias of success rates where few calls are answered.
Intervals take calls as independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np

from flows.reports.insights_spans import Spans
from flows.reports.snapshot_reader import has_table
from models.arrays import I64
from models.stats.comparison import Span, compare
from models.stats.intervals import confidence_sequence

_COUNTS: Final = ("checked", "passed", "failed", "not_applicable", "errors")


@dataclass(frozen=True)
class RuleSide:
    """What a rule found in the calls of one span. `rate`: passed / checked; None if no call was checked.

    `low`, `high` are anytime-valid 95 % bounds.
    """

    checked: int
    passed: int
    failed: int
    not_applicable: int
    errors: int
    rate: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class RuleInsight:
    """One rule of a contract, whatever the version. `delta` = current - baseline, absolute; None without checks.

    `separated`: the rates differ, at a level that holds even if a user looks every hour for four weeks.
    """

    contract: str
    rule: str
    baseline: RuleSide
    current: RuleSide
    delta: float | None
    delta_low: float | None
    delta_high: float | None
    separated: bool

    @property
    def name(self) -> str:
        """As alerts name it."""
        return f"{self.contract}.{self.rule}"


def rules_of(base: duckdb.DuckDBPyConnection, task: str, spans: Spans) -> list[RuleInsight]:
    """The rules that judged calls of a task type in one of the spans: those violated most now first, then by name.

    Hours count as a whole, that in which the lookback ends too. Earlier versions had no contracts.
    """
    if not has_table(base, "check_rates"):
        return []
    sums = ", ".join(
        f"coalesce(sum({name}) FILTER (window_start {side}), 0)::BIGINT" for side in ("< ?", ">= ?") for name in _COUNTS
    )
    before, start, end = (at.replace(tzinfo=None) for at in (spans.before, spans.start, spans.end))
    query = f"""
        SELECT contract, rule, {sums} FROM check_rates
        WHERE task_type = ? AND grain = '1h' AND window_start >= ? AND window_start < ?
        GROUP BY contract, rule ORDER BY contract, rule
    """
    found = base.execute(query, [*[start] * 2 * len(_COUNTS), task, before, end]).fetchall()
    made = _compared(
        [row[:2] for row in found], np.array([row[2:] for row in found], np.int64).reshape(len(found), 2 * len(_COUNTS))
    )
    return sorted(made, key=lambda one: -(one.current.failed / max(one.current.checked, 1)))


def _compared(names: list[tuple[str, str]], counts: I64) -> list[RuleInsight]:
    sides = [counts[:, : len(_COUNTS)].T, counts[:, len(_COUNTS) :].T]
    spans = [Span(side[0], side[1], side[2]) for side in sides]
    unknown = np.full(len(names), np.nan)
    found = compare(spans[0], spans[1], (unknown, unknown))
    differs = (found.worse | found.better).tolist()
    rows = zip(names, *map(_sides, sides), found.low, found.high, differs, strict=True)
    return [_rule(*row) for row in rows]


def _rule(name: tuple[str, str], before: RuleSide, now: RuleSide, low: float, high: float, differs: Any) -> RuleInsight:
    if before.rate is None or now.rate is None:
        return RuleInsight(*name, before, now, None, None, None, separated=False)
    return RuleInsight(*name, before, now, now.rate - before.rate, float(low), float(high), separated=differs)


def _sides(counts: I64) -> list[RuleSide]:
    _, passed, failed, *_ = counts
    low, high = confidence_sequence(passed, failed)
    return [
        RuleSide(*row, *_rate(row, float(least), float(most)))
        for row, least, most in zip(counts.T.tolist(), low, high, strict=True)
    ]


def _rate(row: list[int], low: float, high: float) -> tuple[float, float, float] | tuple[None, None, None]:
    return (row[1] / row[0], low, high) if row[0] else (None, None, None)
