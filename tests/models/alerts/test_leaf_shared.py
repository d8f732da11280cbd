"""What alerts say of drops where outcomes come in conversations: promise, days and intervals allow for them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from aftercall.records import Alert, to_json
from models.alerts.alerting import Alerting
from models.alerts.caveat import caveat
from models.alerts.leaf_trials import LeafTrials
from models.alerts.sentences import DAYS_DIFFER
from models.drift import Drift
from models.messages import NO_SHARED, SharedTrials
from models.stats.effect_size import standardised_effect
from simulated.conversations import DAY, EAGER, START, Trial, conversations, message, names
from simulated.trials import for_alerts

DAYS, CHANGE = 28, 21


@pytest.fixture(scope="module")
def talks() -> list[Trial]:
    """Conversations of one verdict each, of which 40 in 100 more fail from a day on."""
    return conversations(np.random.default_rng(7), DAYS, 15, 1.0, drop=(CHANGE, 0.4))


def alerts(trials: list[Trial], *, cuts: int = 1, known: bool = True) -> list[Alert]:
    """Of detectors and alerting; `known`: the latter gets what outcomes share."""
    drift, stage, found = Drift(EAGER), Alerting(for_alerts(EAGER)), list[Alert]()
    ends = [START + (DAYS + 1) * DAY * (cut + 1) // cuts for cut in range(cuts)]
    for begin, end in pairwise([0, *ends]):
        closed = message([one for one in trials if begin <= one.minute < end], names(), end)
        alarms = [alarm for alarm in drift.close(closed) if alarm.series[0] == "drift"]
        shared = drift.shared()
        found += stage.close(closed._replace(shared=shared if known else NO_SHARED), alarms)
        stage = Alerting.from_state(stage.state(), for_alerts(EAGER))
    return found


def opened(found: list[Alert]) -> Alert:
    return next(one for one in found if one.state == "opened" and one.direction == "down")


def test_days_that_differ_by_their_conversations_are_no_caveat(talks: list[Trial]) -> None:
    with_them, without = opened(alerts(talks)), opened(alerts(talks, known=False))
    assert with_them.promise is not None
    assert with_them.caveat is None
    assert without.caveat == DAYS_DIFFER


def test_the_interval_of_a_later_look_is_as_wide_as_its_conversations_make_it(talks: list[Trial]) -> None:
    """An alarm's own interval is of the trials as the detector weighed them; a look has the outcomes since."""
    with_them, without = (
        {one.alert_id + str(one.updated_at): one for one in found if "trials_after" in one.evidence}
        for found in (alerts(talks), alerts(talks, known=False))
    )
    both = sorted(with_them.keys() & without.keys())
    assert both
    for key in both:
        width, full = ((one.effect_high or 0.0) - (one.effect_low or 0.0) for one in (with_them[key], without[key]))
        assert width > 1.5 * full


def test_no_cut_and_no_restart_changes_alerts_on_conversations(talks: list[Trial]) -> None:
    whole = [to_json(one) for one in alerts(talks)]
    assert [to_json(one) for one in alerts(talks, cuts=9)] == whole


def test_design_effects_are_those_of_the_leaves_and_minutes_asked_for() -> None:
    trials = LeafTrials()
    closed = message(
        [Trial(START + at, group, 0, success=True) for at in (5, 6) for group in (0, 1)], names(), START + 9
    )
    shared = SharedTrials(np.zeros(1, np.int32), np.array([START + 6], np.int32), np.array([128]))
    trials.add(closed._replace(shared=shared), START, START + 9)
    trials = LeafTrials(trials.state())
    both, first = np.array([True, True]), np.array([True, False])
    now = START + 9
    assert trials.design_effect(both, now, START, now) == 1.5
    assert trials.design_effect(first, now, START, now) == 2.0
    assert trials.design_effect(first, now, START, START + 6) == 1.0
    assert trials.design_effect(~first, now, START, now) == 1.0


def test_an_effect_of_one_changes_no_estimate_and_more_widens_it() -> None:
    sides = (np.array([100.0]), np.array([1000.0])), (np.array([60.0]), np.array([300.0]))
    plain, one, ten = (standardised_effect(*sides, "down", worth) for worth in (1.0, 1.0, 10.0))
    assert plain is not None
    assert ten is not None
    assert plain == one == standardised_effect(*sides, "down")
    assert ten.low < plain.low
    assert (ten.trials, ten.independent) == (300.0, 30.0)


def test_a_baseline_of_few_conversations_is_too_small_for_the_promise() -> None:
    few = caveat(rate=0.9, changed=0.8, trials=2_000.0, threshold=4_000.0, worth=20.0)
    assert "too few" in (few or "")
    assert caveat(rate=0.9, changed=0.8, trials=2_000.0, threshold=4_000.0) is None
