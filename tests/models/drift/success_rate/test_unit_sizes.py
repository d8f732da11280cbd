"""How far outcomes that share conversations widen the interval of a rate, as the detector learns it."""

from __future__ import annotations

import numpy as np
import pytest

from models import plain
from models.drift.settings import DriftSettings
from models.drift.success_rate.detector import SuccessRateDetector
from models.messages import AnyGroup
from simulated.conversations import DAY, EAGER, START, Trial, conversations, message, names

ONE = names()[0]


def effects(trials: list[Trial], days: int, *, units: bool = True, cuts: int = 1) -> dict[AnyGroup, float]:
    detector, found = SuccessRateDetector(EAGER), dict[AnyGroup, float]()
    ends = [START + (days + 1) * DAY * (cut + 1) // cuts for cut in range(cuts)]
    for begin, end in zip([0, *ends], ends, strict=False):
        detector.close(message([one for one in trials if begin <= one.minute < end], names(), end, units=units))
        found |= dict(detector.design_effects())
        detector = SuccessRateDetector(EAGER, plain.unpack(plain.pack(detector.state())))
    return found


def test_before_anything_is_known_a_conversation_counts_as_one_outcome() -> None:
    """Two of 4 and 2 outcomes, and two calls of their own: (16 + 4 + 1 + 1) / 8."""
    sizes = [4, 2, 1, 1]
    trials = [Trial(START + 5 + at, 0, unit, success=True) for unit, size in enumerate(sizes) for at in range(size)]
    assert effects(sorted(trials), 0) == {ONE: 2.75, (*ONE[:2], None): 2.75, (ONE[0], None, None): 2.75}


def test_calls_without_conversations_have_none() -> None:
    trials = conversations(np.random.default_rng(1), 10, 15, 0.0)
    assert effects(trials, 10, units=False) == {}
    alone = [trial._replace(unit=number) for number, trial in enumerate(trials)]
    assert effects(alone, 10) == {}


@pytest.mark.parametrize(("shared", "least", "most"), [(1.0, 13.0, 15.0), (0.5, 3.5, 6.0), (0.0, 1.0, 1.6)])
def test_it_is_that_of_the_agreement_and_of_the_sizes(shared: float, least: float, most: float) -> None:
    """3 to 20 calls: the sum of squares over the sum is 13.8; half of the calls share the verdict: rho .25."""
    found = effects(conversations(np.random.default_rng(2), 21, 15, shared), 21)
    assert all(least < effect < most for effect in found.values()), found


def test_no_cut_of_the_minutes_and_no_restart_changes_it() -> None:
    trials = conversations(np.random.default_rng(3), 6, 15, 0.6)
    whole = effects(trials, 6)
    assert len(whole) == 13
    for cuts in (2, 7, 100):
        assert effects(trials, 6, cuts=cuts) == whole


def test_what_conversations_were_like_is_forgotten() -> None:
    """After two months of single calls hardly anything is left of a week of conversations."""
    talks = conversations(np.random.default_rng(4), 7, 15, 1.0)
    after = [Trial(START + (9 + day) * DAY + call, 0, 0, success=True) for day in range(60) for call in range(150)]
    detector = SuccessRateDetector(DriftSettings(warmup_us=0))
    detector.close(message(talks, names(), START + 9 * DAY))
    before = dict(detector.design_effects())[ONE]
    detector.close(message(after, names(), START + 70 * DAY, units=False))
    assert before > 13
    assert 1 < dict(detector.design_effects())[ONE] < 1.1


def test_a_state_that_had_not_counted_them_begins_with_what_comes() -> None:
    detector = SuccessRateDetector(EAGER)
    trials = conversations(np.random.default_rng(5), 3, 15, 1.0)
    detector.close(message(trials, names(), START + 4 * DAY))
    state = detector.state()
    del state["units"]["sizes"]
    resumed = SuccessRateDetector(EAGER, state)
    assert resumed.design_effects() == []
    more = [Trial(START + 4 * DAY + at, 0, 9_999_999, success=True) for at in range(3)]
    resumed.close(message(more, names(), START + 5 * DAY))
    assert dict(resumed.design_effects())[ONE] == 3.0
