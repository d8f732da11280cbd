"""Reads the two spans that `insights` compares, and the arms' counts in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import duckdb

from flows.reports.insights_compare import EMPTY, ArmKey, Corrected, Counts, Effects, Pair
from flows.reports.insights_evidence import DROP, DetectionDelay
from flows.reports.insights_rates import Rates
from flows.reports.snapshot_reader import has_column, rows

GRAIN: Final = timedelta(hours=1)
"""Of the finest rates in a snapshot."""
_NAMED: Final = {1: "1h", 24: "24h", 48: "48h", 168: "7d"}
"""Hours -> span of `current_rates`."""


class Spans(NamedTuple):
    """The baseline [before, start) and the lookback, up to `end`; aware, UTC.

    `named`: the span of `current_rates` that is the lookback, None where there is none. It begins at a full hour and
    ends with the snapshot; that of one hour has 60 minutes. Whatever is shown of the lookback is of its rows, so that
    counts, rates and corrected rates have one window.
    """

    before: datetime
    start: datetime
    end: datetime
    named: str | None


def spans_of(
    base: duckdb.DuckDBPyConnection, lookback: timedelta, baseline: timedelta, as_of: datetime | None
) -> Spans:
    """The spans up to `as_of`, rounded up to a full hour, or up to the end of the snapshot."""
    if as_of is None:
        end = _end_of_snapshot(base)
        start = _full_hour(end) - lookback
        return Spans(start - baseline, start, end, _NAMED.get(int(lookback / GRAIN)))
    end = as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of.astimezone(UTC)
    end = end if end == _full_hour(end) else _full_hour(end) + GRAIN
    return Spans(end - lookback - baseline, end - lookback, end, None)


def read_tasks(
    base: duckdb.DuckDBPyConnection, rates: Rates, spans: Spans, task: str | None = None
) -> dict[str, dict[ArmKey, Pair]]:
    """What is known of the arms that have calls in one of the spans, of a task type or of all of them, by name."""
    before = _of_hours(base, rates, task, spans.before, spans.start)
    if spans.named is None:
        after = _of_hours(base, rates, task, spans.start, spans.end)
    else:
        query = f"SELECT {_KNOWN} FROM {rates.current} WHERE {_of(task)} AND span = ? AND calls > 0"
        after = base.execute(query, [*rates.values, *_given(task), spans.named]).fetchall()
    pairs: dict[str, dict[ArmKey, Pair]] = {} if task is None else {task: {}}
    for name, model, config, *known in before:
        pairs.setdefault(name, {})[model, config] = (_counts_of(known), EMPTY, None)
    for name, model, config, *known in after:
        arms, key = pairs.setdefault(name, {}), (model, config)
        counts = _counts_of(known[:5])
        earlier = arms[key][0] if key in arms else EMPTY
        arms[key] = earlier, counts, None if spans.named is None else _corrected_of(counts, *known[5:])
    return dict(sorted(pairs.items()))


def read_power(base: duckdb.DuckDBPyConnection, task: str) -> dict[ArmKey, DetectionDelay]:
    """How soon a drop would be noticed, of arms with outcomes in the last week; earlier versions did not say."""
    if not has_column(base, "current_rates", "power_within_week"):
        return {}
    query = """
        SELECT model, config, outcomes_per_day, power_days, power_within_week FROM current_rates
        WHERE task_type = ? AND span = '7d' AND power_within_week IS NOT NULL
    """
    found = base.execute(query, [task]).fetchall()
    return {(model, config): DetectionDelay(DROP, *figures) for model, config, *figures in found}


def read_effects(base: duckdb.DuckDBPyConnection, task: str | None = None) -> dict[str, Effects]:
    """How far outcomes that share conversations tell less, of a task type or of all; earlier versions did not say."""
    if not has_column(base, "current_rates", "design_effect"):
        return {}
    query = f"""
        SELECT DISTINCT task_type, model, config, design_effect, task_design_effect FROM current_rates
        WHERE {_of(task)} AND greatest(design_effect, task_design_effect) > 1
    """
    arms: dict[str, dict[ArmKey, float]] = {}
    wholes: dict[str, float] = {}
    for name, model, config, own, whole in base.execute(query, _given(task)).fetchall():
        arms.setdefault(name, {})[model, config] = own
        wholes[name] = whole
    return {name: Effects(own, wholes[name]) for name, own in arms.items()}


def _of_hours(
    base: duckdb.DuckDBPyConnection, rates: Rates, task: str | None, start: datetime, end: datetime
) -> list[tuple[Any, ...]]:
    """Task type, model, config, and `Counts` of the arms in the hours of [start, end)."""
    query = f"""
        SELECT task_type, model, config, {_SUMS} FROM {rates.hours}
        WHERE {_of(task)} AND grain = '1h' AND window_start >= ? AND window_start < ?
        GROUP BY task_type, model, config
    """
    ends = [start.replace(tzinfo=None), end.replace(tzinfo=None)]
    return base.execute(query, [*rates.values, *_given(task), *ends]).fetchall()


def _of(task: str | None) -> str:
    return "true" if task is None else "task_type = ?"


def _given(task: str | None) -> list[Any]:
    return [] if task is None else [task]


def _counts_of(values: list[int]) -> Counts:
    """The counts of a row."""
    calls, successes, failures, pending, expired = values
    return calls, successes, failures, pending, expired


def _corrected_of(counts: Counts, rate: float | None, low: float, high: float, *corrected: float | None) -> Corrected:
    """The corrected rate of a row; where no verdict can come any more, the rate as it is."""
    if not counts[3] and rate is not None:
        return Corrected(rate, low, high, 1.0)
    return Corrected(*corrected)


_KNOWN: Final = (
    "task_type, model, config, calls, successes, failures, pending, expired, rate, rate_low, rate_high, "
    "corrected_rate, corrected_low, corrected_high, maturity"
)
_SUMS: Final = ", ".join(
    f"sum({name})::BIGINT AS {name}" for name in ("calls", "successes", "failures", "pending", "expired")
)


def _end_of_snapshot(base: duckdb.DuckDBPyConnection) -> datetime:
    """The end of the spans of `current_rates`; of a snapshot without a call, the watermark."""
    query = (
        "SELECT coalesce((SELECT max(as_of) FROM current_rates), max(window_start) + INTERVAL 1 HOUR, "
        "(SELECT max(watermark) FROM pipeline), (SELECT max(written_at) FROM pipeline)) AS until "
        "FROM rates WHERE grain = '1h'"
    )
    end: datetime = rows(base, query)[0]["until"]
    return end


def _full_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
