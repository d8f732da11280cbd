"""Judges a policy by the calls of a snapshot that were logged with their propensity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from aftercall.errors import ExitCode
from aftercall.times import format_time, to_us
from flows.reports.policies import policy_weights
from flows.reports.snapshot_reader import InsightError, open_snapshot
from models.arrays import F64, Bools
from models.evaluation import Estimate, Logged, PolicyValue, judge
from models.stats.arrived import LEAST_ARRIVED, arrived

FOLLOWED: Final = "followed"
"""The name of the policy that drew the calls."""
_REACHED: Final = 0.9
_FEW: Final = 100

_END: Final = """
    SELECT greatest((SELECT max(as_of) FROM current_rates), max(verdict_at)) FROM calls
    WHERE task_type = ? AND attempt = 0 AND verdict IN ('success', 'failure')
"""
_COUNTS: Final = "SELECT count(*), count(recommendation_id), count(propensity) FROM calls {of}"
_ARMS: Final = """
    SELECT DISTINCT model, config FROM calls {of} UNION SELECT DISTINCT model, config FROM recommendations
    WHERE task_type = ? ORDER BY model, config
"""
_OF: Final = "WHERE task_type = ? AND attempt = 0"
_CALLS: Final = f"""
    SELECT model || '/' || config AS arm, propensity, cost_usd,
      (hash(coalesce(session_id, parent_call_id, call_id)) >> 1)::BIGINT AS unit,
      CASE verdict WHEN 'success' THEN 1.0::DOUBLE WHEN 'failure' THEN 0.0::DOUBLE END AS verdict,
      epoch_us($2::TIMESTAMP) - epoch_us(occurred_at) AS age, epoch_us(verdict_at) - epoch_us(occurred_at) AS delay
    FROM calls {_OF.replace("?", "$1")} AND propensity IS NOT NULL ORDER BY call_id
"""


@dataclass(frozen=True)
class PolicyRow:
    """A policy, its weights by `model/config` (None: those that drew the calls), and what is known of it."""

    policy: str
    weights: dict[str, float] | None
    judged: PolicyValue
    missing: list[str]
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        low, high = self.judged.bounds
        return {
            "policy": self.policy,
            "weights": self.weights,
            **{name: _plain(getattr(self.judged, name)) for name in ("ips", "snips", "dr")},
            "bounds": {"low": low, "high": high},
            "effective_verdicts": self.judged.effective,
            "largest_unit": self.judged.largest,
            "mean_weight": self.judged.mean_weight,
            "missing_arms": self.missing,
            "missing_weight": self.judged.uncovered,
            "warnings": self.warnings,
        }


@dataclass(frozen=True)
class Evaluation:
    """The policies that were judged, the one that was followed first, and the calls they were judged by."""

    task_type: str
    as_of: datetime
    calls: int
    with_recommendation: int
    with_propensity: int
    too_young: int
    verdicts: int
    corrected: bool
    policies: list[PolicyRow]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **vars(self),
            "as_of": format_time(to_us(self.as_of)),
            "policies": [row.to_dict() for row in self.policies],
        }


@dataclass(frozen=True)
class _Kept:
    """Calls with a propensity that are old enough, their costs, and the names of all arms."""

    logged: Logged
    cost: F64
    arms: list[str]
    too_young: int
    corrected: bool


def evaluate_policy(snapshot: Path, task_type: str, policy: str | None) -> Evaluation:
    """Judge the policy that was followed and the one asked for, or else each arm alone.

    Raises:
        InsightError: no such snapshot or task type, or (exit code 4) nothing logged that tells.
        UsageError: as `policy_weights`.
    """
    with open_snapshot(snapshot) as base:
        counts = base.execute(_COUNTS.format(of=_OF), [task_type]).fetchall()[0]
        if not counts[0]:
            found = base.execute("SELECT DISTINCT task_type FROM calls ORDER BY ALL LIMIT 20").fetchall()
            names = ", ".join(name for (name,) in found) or "none"
            raise InsightError(
                f"evaluate-policy: the task type must have calls in {snapshot} ({names}); got {task_type!r} (name one)"
            )
        if not counts[2]:
            raise InsightError(_nothing_logged(task_type, *counts[:2]), exit_code=ExitCode.UNDECIDED)
        (end,) = base.execute(_END, [task_type]).fetchall()[0]
        if end is None:
            raise _no_verdicts(task_type)
        arms = [f"{a}/{b}" for a, b in base.execute(_ARMS.format(of=_OF), [task_type, task_type]).fetchall()]
        kept = _read(base, task_type, end, arms)
    known = ~np.isnan(kept.logged.verdict)
    if not known.any():
        raise _no_verdicts(task_type)
    rows = [_row(FOLLOWED, None, kept)]
    asked = [f"fixed:{arms[k]}" for k in np.unique(kept.logged.arm)] if policy is None else [policy]
    rows += [_row(text, _weights_of(text, kept, known), kept) for text in asked]
    aware = end.replace(tzinfo=UTC)
    return Evaluation(
        task_type, aware, counts[0], counts[1], counts[2], kept.too_young, int(known.sum()), kept.corrected, rows
    )


def _read(base: duckdb.DuckDBPyConnection, task_type: str, end: datetime, arms: list[str]) -> _Kept:
    table = base.execute(_CALLS, [task_type, end]).fetchnumpy()

    def floats(name: str) -> F64:
        return np.ma.filled(np.ma.asarray(table[name], np.float64), np.nan)

    verdict, age = floats("verdict"), np.asarray(table["age"], np.int64)
    delay = np.nan_to_num(floats("delay")).astype(np.int64)
    failing, succeeding = arrived(age, delay, verdict)
    corrected = not (np.isnan(failing).any() or np.isnan(succeeding).any())
    old = np.minimum(failing, succeeding) >= LEAST_ARRIVED if corrected else np.ones(len(age), bool)
    share = np.where(verdict == 1, succeeding, failing) if corrected else np.ones(len(age))
    index = {arm: at for at, arm in enumerate(arms)}
    arm = np.array([index[name] for name in table["arm"]], np.int64)
    unit = np.asarray(table["unit"], np.int64)
    logged = Logged(arm[old], floats("propensity")[old], verdict[old], share[old], unit[old])
    return _Kept(logged, floats("cost_usd")[old], arms, int((~old).sum()), corrected)


def _weights_of(text: str, kept: _Kept, known: Bools) -> F64:
    logged, k = kept.logged, len(kept.arms)
    arm, each = logged.arm[known], 1 / logged.arrived[known]
    priced = ~np.isnan(kept.cost)
    with np.errstate(invalid="ignore"):
        rate = np.bincount(arm, each * logged.verdict[known], k) / np.bincount(arm, each, k)
        paid = np.bincount(logged.arm[priced], kept.cost[priced], k)
        cost = paid / np.bincount(logged.arm[priced], minlength=k)
    return policy_weights(text, kept.arms, rate, np.bincount(arm, minlength=k).astype(np.float64), cost)


def _row(text: str, weights: F64 | None, kept: _Kept) -> PolicyRow:
    judged = judge(kept.logged, weights, len(kept.arms))
    missing = [kept.arms[at] for at in judged.missing]
    named = None if weights is None else {kept.arms[at]: float(weights[at]) for at in np.flatnonzero(weights)}
    return PolicyRow(text, named, judged, missing, _warnings(text, judged, missing))


def _warnings(text: str, judged: PolicyValue, missing: list[str]) -> list[str]:
    found = []
    if missing:
        names = ", ".join(missing)
        found.append(
            f"no logged call went to {names}, {100 * judged.uncovered:.0f} % of the policy: of it nothing is known"
        )
    if not missing and judged.mean_weight < _REACHED:
        found.append(
            f"only {100 * judged.mean_weight:.0f} % of the calls could go where the policy sends them: IPS counts the "
            "others as failures, SNIPS leaves them out"
        )
    if judged.effective < _FEW:
        found.append(
            f"the verdicts tell as much as {judged.effective:.0f} of the policy's own: intervals may be too narrow"
        )
    if text.startswith("cheapest-within"):
        found.append("the arm was chosen by the same calls, so that its rate looks a little too good")
    return found


def _plain(estimate: Estimate) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else value for name, value in estimate._asdict().items()}


def _nothing_logged(task_type: str, calls: int, recommended: int) -> str:
    return (
        f"evaluate-policy: calls of {task_type} must have a propensity; none of {calls:,} has, {recommended:,} have a "
        "recommendation_id, so how another policy would do cannot be known: calls were sent to arms for reasons that "
        "are not logged (log recommendation_id and propensity, as the SDK's `route()` gives them)"
    )


def _no_verdicts(task_type: str) -> InsightError:
    return InsightError(
        f"evaluate-policy: calls of {task_type} with a propensity must have verdicts; none has one so far (wait, or "
        "report outcomes)",
        exit_code=ExitCode.UNDECIDED,
    )
