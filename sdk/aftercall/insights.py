"""Answers what changed in a task type, as `aftercall insights TASK --json` does, in any process with the pipeline."""

from __future__ import annotations

import os
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from aftercall.errors import UsageError
from aftercall.names import plain_name

_REPORT: Final = "flows.reports.insights"
_NO_PIPELINE: Final = (
    "get_insights: must run where the pipeline is installed; only the SDK is here (get a checkout of aftercall and run "
    "`make setup` in it, or ask a machine that has it with `aftercall insights TASK --json`)"
)


class Insights(dict[str, Any]):
    """The JSON object of `aftercall insights TASK --json`; docs/reference.md, section 5, has its fields.

    Its headline fields are attributes too. Rates are shares in [0, 1]; None without outcomes.
    """

    @property
    def baseline_success_rate(self) -> float | None:
        """Of the span before the lookback."""
        rate: float | None = self["baseline_success_rate"]
        return rate

    @property
    def current_success_rate(self) -> float | None:
        """Of the lookback."""
        rate: float | None = self["current_success_rate"]
        return rate

    @property
    def performance_delta(self) -> float | None:
        """Current minus baseline, absolute: -0.1 is a fall by 10 points."""
        delta: float | None = self["performance_delta"]
        return delta

    @property
    def performance_delta_relative(self) -> float | None:
        """The same as a share of the baseline's rate; None where that is 0."""
        delta: float | None = self["performance_delta_relative"]
        return delta

    @property
    def degraded_models(self) -> list[dict[str, Any]]:
        """What got worse: scopes of open alerts on drops, then models whose spans differ for certain."""
        models: list[dict[str, Any]] = self["degraded_models"]
        return models

    @property
    def routing_recommendation(self) -> dict[str, Any] | None:
        """The newest recommendation; None before the first."""
        route: dict[str, Any] | None = self["routing_recommendation"]
        return route


def get_insights(
    task_type: str,
    lookback_hours: int = 48,
    compare_to_baseline_hours: int = 168,
    snapshot: str | os.PathLike[str] = "outcomes.duckdb",
) -> Insights:
    """Compare the last hours of a task type with those before, in the newest snapshot of a pipeline.

    It takes some 0.1 s, the first time with imports of a second.

    Args:
        task_type: as calls have it.
        lookback_hours: whole hours, >= 1.
        compare_to_baseline_hours: of the span before the lookback; whole hours, >= 1.
        snapshot: `outcomes.duckdb`, or the folder of a run (`--out`, `service.folder`).

    Raises:
        UserError: only the SDK is installed, there is no such snapshot or task type, or a span is wrong; one sentence.

    Example:
        found = get_insights("support", snapshot="live")
        if found.degraded_models:
            print(found.performance_delta)
    """
    # Imported by name, as the command is: a producer's environment has no `flows`, and the SDK may not import it.
    if find_spec("flows") is None or find_spec(_REPORT) is None:
        raise UsageError(_NO_PIPELINE)
    compare = import_module(_REPORT).insights
    path = Path(snapshot)
    file = path / "outcomes.duckdb" if path.is_dir() else path
    try:
        spans = [timedelta(hours=hours) for hours in (lookback_hours, compare_to_baseline_hours)]
        found = compare(file, plain_name(task_type), *spans)
    except OverflowError:
        raise UsageError(
            "get_insights: the spans must not reach back beyond the year 1; got "
            f"{lookback_hours} and {compare_to_baseline_hours} hours (give shorter ones)"
        ) from None
    return Insights(found.to_dict())
