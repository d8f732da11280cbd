"""A gateway that follows recommendations through a recorded world, and sees only what its own calls came to."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from aftercall.records import Recommendation
from benchmarks.routing_real.minutes import QUARTER, TASK, Calls, Known, closed
from benchmarks.routing_real.worlds import Phase, RecordedWorld
from flows.settings import Settings, load
from flows.settings.for_models import alert_settings, drift_settings, routing_settings
from models.alerts import Alerting
from models.arrays import F64, I64
from models.drift import Drift
from models.messages import Closed
from models.routing import Routing

UNLISTED: Final = 0.02
"""Weight with which the gateway calls an arm that no recommendation lists yet."""
MINUTES_BETWEEN: Final = 1
"""A call a minute: the source has no times of single calls."""
DELAY: Final = 5
"""Minutes until an outcome is known."""
BEGIN: Final = 20_139 * 1440
"""Minutes since 1970 of the first call, a midnight."""


class Followed(NamedTuple):
    """What a run came to; per call. `cost_usd`: mean of the calls whose cost is recorded, nan without any."""

    rate: float
    cost_usd: float
    last_rate: float
    """Successes per call in the last quarter of each phase."""
    last_best: float
    """What the best fixed arm of each phase has on the tasks of these calls."""


class Pipeline:
    """The real objects, as the steps of the dataflow call them."""

    def __init__(self, settings: Settings) -> None:
        self._drift = Drift(drift_settings(settings))
        self._alerting = Alerting(alert_settings(settings))
        self._routing = Routing(routing_settings(settings))

    def close(self, minutes: Closed) -> list[Recommendation]:
        """Recommendations of these minutes."""
        alarms = self._drift.close(minutes)
        minutes = minutes._replace(shared=self._drift.shared(), lengths=self._drift.lengths())
        self._drift.suspicions()
        alerts = self._alerting.close(minutes, alarms)
        if hasattr(self._drift, "restarts"):
            return self._routing.close(minutes, alerts, self._drift.restarts())
        return self._routing.close(minutes, alerts)


def follow(world: RecordedWorld, calls: int, value_usd: float | None, rng: np.random.Generator) -> Followed:
    """One run.

    Args:
        world: whose tasks are asked in random order, each once before any is asked again.
        calls: in each phase.
        value_usd: what a success is worth; None: only rates count.
        rng: of the order and of the gateway's draws.
    """
    settings = load(None, task={} if value_usd is None else {TASK: {"value": value_usd}})
    pipeline, weights = Pipeline(settings), np.full(len(world.arms), 1 / len(world.arms))
    order = [(phase, asked(phase, calls, rng)) for phase in world.phases]
    n = calls * len(order)
    arm, won, costs = np.zeros(n, np.int64), np.zeros(n, bool), np.full(n, np.nan)
    known, best = np.zeros(n, bool), np.zeros(n)
    minute = BEGIN + MINUTES_BETWEEN * np.arange(n)
    end, seen = int(minute[-1]) + DELAY + 1, 0
    for start in range(BEGIN, end, QUARTER):
        through = start + QUARTER
        first, stop = np.searchsorted(minute, [start, through])
        for at in range(first, stop):
            phase, tasks = order[at // calls]
            task, arm[at] = tasks[at % calls], rng.choice(len(weights), p=weights)
            won[at], known[at] = phase.success[task, arm[at]], phase.known[task, arm[at]]
            costs[at], best[at] = phase.cost_usd[task, arm[at]], phase.success[task, phase.rates.argmax()]
        heard_to = int(np.searchsorted(minute + DELAY, through))
        heard = seen + np.flatnonzero(known[seen:heard_to])
        outcomes = Known(arm[heard], minute[heard] + DELAY, minute[heard], won[heard])
        sent = Calls(arm[first:stop], minute[first:stop], costs[first:stop])
        for issued in pipeline.close(closed(world.arms, sent, outcomes, through)):
            weights = _weights(world.arms, issued)
        seen = heard_to
    last = np.arange(n) % calls >= calls * 3 // 4
    cost = float(np.nanmean(costs)) if (~np.isnan(costs)).any() else float("nan")
    return Followed(float(won.mean()), cost, float(won[last].mean()), float(best[last].mean()))


def asked(phase: Phase, calls: int, rng: np.random.Generator) -> I64:
    """Tasks in random order, each as often as any other, give or take one. Shape (calls,)."""
    n = len(phase.success)
    return np.concatenate([rng.permutation(n) for _ in range(-(-calls // n))])[:calls]


def _weights(arms: tuple[str, ...], issued: Recommendation) -> F64:
    """Of each arm; those that are not listed yet get a little."""
    by_model = {arm.model: arm.weight for arm in issued.segments[0].arms}
    weights: F64 = np.array([by_model.get(arm, np.nan) for arm in arms])
    new = np.isnan(weights)
    listed = np.where(new, 0.0, weights)
    if listed.sum() <= 0:
        return np.full(len(arms), 1 / len(arms))
    shares: F64 = np.where(new, UNLISTED, (1 - UNLISTED * new.sum()) * listed / listed.sum())
    return shares
