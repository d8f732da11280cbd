"""Verdicts of whole conversations: no more alarms than if each conversation had one verdict, and none later."""

from __future__ import annotations

import numpy as np
import pytest

from models import plain
from models.alarms.alarm import Alarm
from models.drift.success_rate.detector import SuccessRateDetector
from simulated.conversations import DAY, EAGER, START, Trial, conversations, message, names


def alarms(trials: list[Trial], days: int, *, units: bool = True) -> list[Alarm]:
    return SuccessRateDetector(EAGER).close(message(trials, names(), START + (days + 1) * DAY, units=units))


def firsts(trials: list[Trial]) -> list[Trial]:
    """One trial of each conversation."""
    kept: dict[int, Trial] = {}
    for trial in trials:
        kept.setdefault(trial.unit, trial)
    return list(kept.values())


def found(raised: list[Alarm]) -> list[tuple[int, str]]:
    return sorted((alarm.at, str(alarm.series[1])) for alarm in raised)


def test_one_verdict_for_all_calls_of_a_conversation_counts_as_one() -> None:
    trials = conversations(np.random.default_rng(1), 30, 15, 1.0, drop=(15, 0.4))
    once = found(alarms(firsts(trials), 30, units=False))
    assert once
    assert found(alarms(trials, 30)) == once


def test_steady_conversations_raise_no_alarm_where_their_calls_alone_would_raise_many() -> None:
    """Six models, 15 conversations a day each, whose calls all have one verdict: from the first day on."""
    trials = conversations(np.random.default_rng(2), 21, 15, 1.0)
    assert len(alarms(trials, 21, units=False)) >= 6
    assert not alarms(trials, 21)


@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_conversations_that_agree_in_part_are_found_as_soon_as_one_verdict_of_each_or_sooner(shared: float) -> None:
    trials = conversations(np.random.default_rng(3), 30, 30, shared, drop=(21, 0.25))
    once = [at for at, group in found(alarms(firsts(trials), 30, units=False)) if at > (START + 21 * DAY) * 60_000_000]
    weighed = [at for at, group in found(alarms(trials, 30)) if at > (START + 21 * DAY) * 60_000_000]
    assert once
    assert weighed[0] < once[0]
    assert len(weighed) >= len(once)


def test_verdicts_of_a_unit_that_come_one_by_one_or_together_weigh_the_same() -> None:
    """Nothing is known of the task yet: the first trial weighs 1, all later ones nothing."""
    together = [Trial(START + 5, 0, 7, success=True)] * 4
    single = [Trial(START + 5 + at, 0, 7, success=True) for at in range(4)]
    for trials in (together, single):
        detector = SuccessRateDetector(EAGER)
        detector.close(message(trials, names(), START + DAY))
        assert set(detector.state()["trials"].tolist()) == {1.0}


def test_what_is_known_of_units_outlives_a_restart_and_is_forgotten_a_day_after_their_first_trial() -> None:
    detector = SuccessRateDetector(EAGER)
    detector.close(message([Trial(START + 5, 0, 7, success=True)], names(), START + DAY))
    detector = SuccessRateDetector(EAGER, plain.unpack(plain.pack(detector.state())))
    detector.close(message([Trial(START + DAY + 9, 0, 7, success=True)], names(), START + 2 * DAY))
    assert set(detector.state()["trials"].tolist()) == {1.0}
    later = [Trial(START + 2 * DAY, 0, 7, success=True), Trial(START + 2 * DAY, 0, 8, success=True)]
    detector.close(message(later, names(), START + 3 * DAY))
    assert set(detector.state()["trials"].tolist()) == {3.0}
    assert len(detector.state()["units"]["keys"]) == 3 * 2


def test_trials_without_units_are_what_they_were() -> None:
    trials = conversations(np.random.default_rng(4), 10, 15, 0.0, drop=(5, 0.4))
    alone = [trial._replace(unit=number) for number, trial in enumerate(trials)]
    with_units, without = (SuccessRateDetector(EAGER) for _ in range(2))
    assert found(with_units.close(message(alone, names(), START + 11 * DAY))) == found(
        without.close(message(alone, names(), START + 11 * DAY, units=False))
    )
    assert with_units.state()["r"].tolist() == without.state()["r"].tolist()
