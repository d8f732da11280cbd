"""The comparison report: what has changed in a task type, read from a snapshot alone.

The lookback is compared with the baseline span before it, by the time of the calls, in whole hours.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from aftercall.durations import format_duration
from models.intervals import confidence_sequence, newcombe, wilson

HOUR = timedelta(hours=1)
Z_EFFECT = 2.58
"""Of the interval of a change: where the change was looked for, 1.96 would cover too rarely."""

LATEST = datetime(9999, 1, 1)  # noqa: DTZ001 - DuckDB compares its TIMESTAMPs, UTC by contract, with naive times


class InsightError(Exception):
    """A question the snapshot cannot answer; its text is one sentence for the person who asked."""


@dataclass(frozen=True)
class Side:
    """Calls of one span. Rates are shares of the resolved; None where nothing is resolved.

    `low`, `high` are anytime-valid (decide on these), `wilson_*` hold for a single look.
    """

    calls: int
    resolved: int
    successes: int
    failures: int
    pending: int
    expired: int
    rate: float | None
    low: float | None
    high: float | None
    wilson_low: float | None
    wilson_high: float | None


@dataclass(frozen=True)
class Corrected:
    """The delay-corrected rate of the lookback, where the snapshot holds that very span, and how mature it is."""

    rate: float | None
    low: float | None
    high: float | None
    maturity: float | None


@dataclass(frozen=True)
class ArmInsight:
    """One (model, config); both None on the line over all of them. `delta` = current - baseline, absolute."""

    model: str | None
    config: str | None
    baseline: Side
    current: Side
    corrected: Corrected | None
    delta: float | None
    delta_low: float | None
    delta_high: float | None
    separated: bool


@dataclass(frozen=True)
class DegradedModel:
    """An arm that does worse: an alert is open on it, or the intervals of its two spans lie apart.

    `effect_*` as the alert saw it: times in UTC, None where no alert is open.
    """

    model: str
    config: str | None
    since: datetime | None
    baseline: float | None
    current: float | None
    effect_low: float | None
    effect_high: float | None
    alert_id: str | None
    severity: str | None
    reason: str


@dataclass(frozen=True)
class Route:
    """The newest recommendation; `arms` as in `aftercall.records.Arm`, of the segment None."""

    recommendation_id: str
    issued_at: datetime
    valid_until: datetime
    reason: str
    arms: list[dict[str, Any]]


@dataclass(frozen=True)
class Insight:
    """What `insights` found. Times are aware, UTC."""

    task_type: str
    as_of: datetime
    lookback: timedelta
    baseline: timedelta
    overall: ArmInsight
    arms: list[ArmInsight]
    degraded: list[DegradedModel]
    route: Route | None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the names of docs/contract.md, section 5, then intervals and counts."""
        return {
            "task_type": self.task_type,
            "as_of": _text(self.as_of),
            "lookback": format_duration(self.lookback),
            "baseline": format_duration(self.baseline),
            "baseline_success_rate": self.overall.baseline.rate,
            "current_success_rate": self.overall.current.rate,
            "performance_delta": self.overall.delta,
            "performance_delta_low": self.overall.delta_low,
            "performance_delta_high": self.overall.delta_high,
            "degraded_models": [_plain(one) for one in self.degraded],
            "routing_recommendation": None if self.route is None else _plain(self.route),
            "overall": _plain(self.overall),
            "models": [_plain(one) for one in self.arms],
        }

    def to_json(self) -> str:
        """`to_dict` as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)


def insights(
    snapshot: Path,
    task: str,
    lookback: timedelta = timedelta(hours=48),
    baseline: timedelta = timedelta(hours=168),
    as_of: datetime | None = None,
) -> Insight:
    """Compare the last `lookback` of a task type with the `baseline` span before it.

    Args:
        snapshot: `outcomes.duckdb`; opened read-only.
        task: the task type.
        lookback: whole hours, > 0.
        baseline: whole hours, > 0.
        as_of: end of the lookback, rounded up to a full hour; absent: where the snapshot ends. Rates are what is known
            now about calls of that time, not what was known then.

    Raises:
        InsightError: no such snapshot, no such task type, or a span that is not of whole hours.
    """
    for name, span in (("lookback", lookback), ("baseline", baseline)):
        if span < HOUR or span % HOUR:
            message = (
                f"insights: {name} must be whole hours, at least 1h; got {_span(span)} (rates are kept by the hour)"
            )
            raise InsightError(message)
    with open_snapshot(snapshot) as base:
        _known_task(base, snapshot, task)
        end = _end(base, as_of)
        start = end - lookback
        limit = LATEST if as_of is None else end.replace(tzinfo=None)
        before = _sides(base, task, start - baseline, start)
        after = _sides(base, task, start, end)
        corrected = {} if as_of is not None else _corrected(base, task, lookback)
        arms = [
            _compare(arm, before.get(arm, EMPTY), after.get(arm, EMPTY), corrected.get(arm))
            for arm in sorted(set(before) | set(after))
        ]
        overall = _compare((None, None), _total(list(before.values())), _total(list(after.values())), None)
        return Insight(
            task,
            end,
            lookback,
            baseline,
            overall,
            arms,
            _degraded(base, task, limit, arms),
            newest_route(base, task, limit),
        )


def open_snapshot(path: Path) -> duckdb.DuckDBPyConnection:
    """Open a snapshot for reading.

    Raises:
        InsightError: where there is none, or it is not one.
    """
    if not path.exists():
        message = (
            f"snapshot: {path} must be a file; there is none (run `aftercall demo` or `replay`, or give --snapshot)"
        )
        raise InsightError(message)
    try:
        # Resolved: the link may point to a newer file while this one is still being read.
        base = duckdb.connect(str(path.resolve()), read_only=True)
        base.execute("SELECT count(*) FROM rates").fetchall()
    except duckdb.Error as wrong:
        line = str(wrong).splitlines()[0]
        message = f"snapshot: {path} must be a DuckDB file that aftercall wrote; got: {line} (give --snapshot)"
        raise InsightError(message) from None
    return base


def rows(base: duckdb.DuckDBPyConnection, query: str, values: list[Any] | None = None) -> list[dict[str, Any]]:
    """Rows of a query as dicts; times aware, in UTC."""
    found = base.execute(query, values or [])
    names = [column[0] for column in found.description or []]
    return [
        {name: v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for name, v in zip(names, row, strict=True)}
        for row in found.fetchall()
    ]


EMPTY = (0, 0, 0, 0, 0)
"""calls, successes, failures, pending, expired."""
Counts = tuple[int, int, int, int, int]
ArmKey = tuple[str, str]


def _known_task(base: duckdb.DuckDBPyConnection, snapshot: Path, task: str) -> None:
    known = [row["task_type"] for row in rows(base, "SELECT DISTINCT task_type FROM rates ORDER BY task_type")]
    if task not in known:
        listed = ", ".join(known) or "none yet"
        message = f"insights: the task type must be one in {snapshot} ({listed}); got {task!r} (choose one of these)"
        raise InsightError(message)


def _end(base: duckdb.DuckDBPyConnection, as_of: datetime | None) -> datetime:
    if as_of is None:
        newest = rows(
            base,
            "SELECT coalesce((SELECT max(as_of) FROM current_rates), max(window_start) + INTERVAL 1 HOUR) AS until "
            "FROM rates WHERE grain = '1h'",
        )
        found: datetime = newest[0]["until"]
    else:
        found = as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of.astimezone(UTC)
    whole = found.replace(minute=0, second=0, microsecond=0)
    return whole if whole == found else whole + HOUR


def _sides(base: duckdb.DuckDBPyConnection, task: str, start: datetime, end: datetime) -> dict[ArmKey, Counts]:
    query = """
        SELECT model, config, sum(calls)::BIGINT AS calls, sum(successes)::BIGINT AS successes,
               sum(failures)::BIGINT AS failures, sum(pending)::BIGINT AS pending, sum(expired)::BIGINT AS expired
        FROM rates WHERE grain = '1h' AND task_type = ? AND window_start >= ? AND window_start < ?
        GROUP BY model, config
    """
    found = rows(base, query, [task, start.replace(tzinfo=None), end.replace(tzinfo=None)])
    return {
        (row["model"], row["config"]): (
            row["calls"],
            row["successes"],
            row["failures"],
            row["pending"],
            row["expired"],
        )
        for row in found
    }


def _corrected(base: duckdb.DuckDBPyConnection, task: str, lookback: timedelta) -> dict[ArmKey, Corrected]:
    query = """
        SELECT model, config, corrected_rate, corrected_low, corrected_high, maturity FROM current_rates
        WHERE task_type = ? AND span = ?
    """
    span = {1: "1h", 24: "24h", 48: "48h", 168: "7d"}.get(int(lookback / HOUR))
    return {
        (row["model"], row["config"]): Corrected(
            row["corrected_rate"], row["corrected_low"], row["corrected_high"], row["maturity"]
        )
        for row in rows(base, query, [task, span])
    }


def _total(sides: list[Counts]) -> Counts:
    calls, successes, failures, pending, expired = (sum(column) for column in zip(EMPTY, *sides, strict=True))
    return calls, successes, failures, pending, expired


def _compare(
    arm: tuple[str | None, str | None], before: Counts, after: Counts, corrected: Corrected | None
) -> ArmInsight:
    model, config = arm
    baseline, current = _side(before), _side(after)
    if baseline.rate is None or current.rate is None:
        return ArmInsight(model, config, baseline, current, corrected, None, None, None, separated=False)
    low, high = newcombe(baseline.successes, baseline.resolved, current.successes, current.resolved, Z_EFFECT)
    apart = _apart(baseline, current, corrected)
    delta = current.rate - baseline.rate
    return ArmInsight(model, config, baseline, current, corrected, delta, float(low), float(high), separated=apart)


def _apart(baseline: Side, current: Side, corrected: Corrected | None) -> bool:
    below, above = [current.high or 0.0], [current.low or 0.0]
    if corrected is not None and corrected.low is not None and corrected.high is not None:
        # A young window looks bad where failures are reported first: the corrected rate must lie apart too.
        below.append(corrected.high)
        above.append(corrected.low)
    return (baseline.low or 0.0) > max(below) or min(above) > (baseline.high or 0.0)


def _side(counts: Counts) -> Side:
    calls, successes, failures, pending, expired = counts
    resolved = successes + failures
    if not resolved:
        return Side(calls, 0, 0, 0, pending, expired, None, None, None, None, None)
    low, high = confidence_sequence(successes, failures)
    at_once = wilson(successes, resolved)
    return Side(
        calls,
        resolved,
        successes,
        failures,
        pending,
        expired,
        successes / resolved,
        float(low),
        float(high),
        float(at_once[0]),
        float(at_once[1]),
    )


def _degraded(
    base: duckdb.DuckDBPyConnection, task: str, limit: datetime, arms: list[ArmInsight]
) -> list[DegradedModel]:
    query = """
        SELECT * FROM alerts
        WHERE task_type = ? AND metric = 'success_rate' AND direction = 'down' AND model IS NOT NULL
          AND opened_at <= ? AND (closed_at IS NULL OR closed_at > ?)
        ORDER BY opened_at, model, config NULLS LAST
    """
    found: list[DegradedModel] = []
    for row in rows(base, query, [task, limit, limit]):
        # A roll-up says nothing new where one of its configs has an alert of its own.
        of_config = any(one.model == row["model"] and one.config is not None for one in found)
        if row["config"] is None and of_config:
            continue
        if row["config"] is not None:
            found = [one for one in found if one.model != row["model"] or one.config is not None]
        found.append(
            DegradedModel(
                row["model"],
                row["config"],
                row["changed_at"],
                row["baseline"],
                row["current"],
                row["effect_low"],
                row["effect_high"],
                row["alert_id"],
                row["severity"],
                row["reason"],
            )
        )
    told = {(one.model, one.config) for one in found} | {one.model for one in found if one.config is None}
    for arm in arms:
        if not arm.separated or (arm.delta or 0) >= 0 or arm.model in told or (arm.model, arm.config) in told:
            continue
        reason = "the intervals of baseline and lookback lie apart; no alert is open"
        found.append(
            DegradedModel(
                arm.model or "",
                arm.config,
                None,
                arm.baseline.rate,
                arm.current.rate,
                arm.delta_low,
                arm.delta_high,
                None,
                None,
                reason,
            )
        )
    return found


def newest_route(base: duckdb.DuckDBPyConnection, task: str, limit: datetime = LATEST) -> Route | None:
    """The newest recommendation for a task type issued by `limit` (naive, UTC)."""
    query = """
        SELECT * FROM recommendations WHERE task_type = ? AND segment IS NULL AND seq = (
            SELECT max(seq) FROM recommendations WHERE task_type = ? AND issued_at <= ?)
        ORDER BY model, config
    """
    found = rows(base, query, [task, task, limit])
    if not found:
        return None
    first = found[0]
    names = ("model", "config", "weight", "p_best", "rate", "rate_low", "rate_high", "n", "status")
    arms = [{name: row[name] for name in names} for row in found]
    return Route(first["recommendation_id"], first["issued_at"], first["valid_until"], first["reason"], arms)


def _plain(record: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in asdict(record).items()}


def _value(value: Any) -> Any:
    return _text(value) if isinstance(value, datetime) else value


def _text(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def _span(span: timedelta) -> str:
    try:
        return format_duration(span)
    except ValueError:
        return str(span)
