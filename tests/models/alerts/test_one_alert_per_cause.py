"""How often one cause is one alert, rightly named, closed by its end, and followed by nothing. Figures: `pytest -s`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from models.messages import Group
from simulated.trials import DAY, alerts, simulate

WEEK = 7 * DAY
TASKS, MODELS = ("quote", "refund", "search", "triage"), ("atlas", "birch", "cedar")
ALL: list[Group] = [(task, model, "default") for task in TASKS for model in MODELS]
SEEDS = 10
Named = tuple[str, str | None, str | None]

CAUSES: Mapping[str, tuple[list[Group], Named]] = {
    "a provider's incident": ([(task, "atlas", "default") for task in TASKS], ("*", "atlas", None)),
    "a config": ([("refund", "atlas", "v2")], ("refund", "atlas", "v2")),
    "a config over all models": ([("refund", model, "v2") for model in MODELS], ("refund", None, "v2")),
    "a task type": ([("refund", model, "default") for model in MODELS], ("refund", None, None)),
    "everything": (ALL, ("*", None, None)),
}


def stream(hit: list[Group], drop: float) -> Callable[[Group], list[tuple[int, float]]]:
    """90 %, and for those hit `drop` less for four days after the first week."""
    return lambda group: [(0, 0.9)] + ([(WEEK, 0.9 - drop), (WEEK + 4 * DAY, 0.9)] if group in hit else [])


@pytest.mark.statistics
@pytest.mark.slow
@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize(("per_day", "drop"), [(300.0, 0.2), (3000.0, 0.1)])
def test_one_cause_is_one_alert(cause: str, per_day: float, drop: float) -> None:
    hit, named = CAUSES[cause]
    level = stream(hit, drop)
    end = WEEK + 10 * DAY
    one, right, over, records = 0, 0, 0, 0
    for seed in range(SEEDS):
        calls = simulate({g: level(g) for g in [*ALL, *hit]}, end, every=30, per_day=per_day, seed=1000 + seed)
        emitted = alerts(calls, end)
        one += len({record.alert_id for record in emitted}) == 1
        right += bool(emitted) and (emitted[0].task_type, emitted[0].model, emitted[0].config) == named
        over += bool(emitted) and emitted[-1].state == "closed" and "current_after" in emitted[-1].evidence
        records += len(emitted)
    figures = (
        f"one alert {one}, named at once {right}, closed by its end {over}, of {SEEDS}; {records / SEEDS:.1f} records"
    )
    print(f"{cause}, {100 * drop:.0f} points at {per_day:.0f} trials a day and arm: {figures}")  # noqa: T201
    assert min(one, right, over) >= 0.8 * SEEDS
