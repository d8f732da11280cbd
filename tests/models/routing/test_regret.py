"""What routing loses after a drop, beside a router that does not learn."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.times import HOUR_US
from models.routing.routing import Routing, RoutingSettings
from simulated.arms import START, A, B, C, Row, alert, arms, closed


@pytest.mark.statistics
@pytest.mark.slow
def test_regret_after_a_drop_stays_far_below_a_router_that_does_not_learn() -> None:
    rng = np.random.default_rng(20261120)
    rates = {A: 0.85, B: 0.82, C: 0.75}
    routing = Routing(RoutingSettings(memory_us=24 * HOUR_US))
    weights = dict.fromkeys(rates, 1 / 3)
    lost = fixed = calls = 0.0
    hours = 96
    for hour in range(hours):
        truth = rates | ({A: 0.70} if hour >= hours // 2 else {})
        best = max(truth.values())
        rows = []
        for group, weight in weights.items():
            n = int(rng.poisson(1000 * weight))
            wins = int(rng.binomial(n, truth[group]))
            rows.append(Row(START + 60 * hour, group, wins, n - wins, n))
            lost += n * (best - truth[group])
            calls += n
        fixed += 1000 * (best - truth[A])
        emitted = [alert(START + 60 * hour + 30, A)] if hour == hours // 2 + 2 else []
        for found in routing.close(closed(rows, START + 60 * (hour + 1)), emitted):
            weights = {("triage", *arm): entry.weight for arm, entry in arms(found).items()}
    assert 1000 * lost / calls < 12
    assert lost < fixed / 4
