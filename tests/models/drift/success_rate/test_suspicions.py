"""Suspicions: which groups are listed, and once only among nested ones. `oracle` compares those of a whole stream."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.records import Direction
from models.drift.success_rate.suspicions import LEAST_STRENGTH, SUSPICION_ODDS, Suspect, odds_of, suspects_of
from models.messages import AnyGroup

TASK: AnyGroup = ("refund", None, None)
MODEL: AnyGroup = ("refund", "atlas", None)
CONFIG: AnyGroup = ("refund", "atlas", "v2")
SIBLING: AnyGroup = ("refund", "birch", "v1")
OTHER: AnyGroup = ("(other)", None, None)
GROUPS = [TASK, MODEL, CONFIG, SIBLING]
A = 4000.0


def listed(down: list[float], up: list[float], *alarmed: tuple[AnyGroup, Direction]) -> list[Suspect]:
    return suspects_of(np.stack((down, up), axis=1), A, GROUPS, alarmed)


def test_evidence_of_a_tenth_of_an_alarm_is_a_suspicion() -> None:
    assert listed([0, 0, 0, 399.9], [0, 0, 0, 400.0]) == [Suspect(3, 1, 0.1)]


def test_of_nested_groups_the_one_with_most_evidence_is_listed_and_of_equals_the_narrowest() -> None:
    assert [one.watch for one in listed([500, 900, 700, 0], [0] * 4)] == [1]
    assert [one.watch for one in listed([900, 900, 900, 0], [0] * 4)] == [2]
    assert [one.watch for one in listed([0, 0, 700, 600], [0] * 4)] == [2, 3], "siblings are two"
    assert [one.watch for one in listed([0, 500, 0, 0], [0, 0, 700, 0])] == [2, 1], "directions are two"


@pytest.mark.parametrize("group", [TASK, MODEL, CONFIG])
def test_what_an_open_alarm_covers_is_known(group: AnyGroup) -> None:
    assert listed([500, 900, 700, 0], [0] * 4, (group, "down")) == []
    assert [one.watch for one in listed([500, 900, 700, 0], [0] * 4, (group, "up"))] == [1]
    assert [one.watch for one in listed([0, 0, 700, 600], [0] * 4, (CONFIG, "down"))] == [3]


def test_odds_rise_with_the_evidence() -> None:
    assert [odds_of(least) for least, _ in SUSPICION_ODDS] == [odds for _, odds in SUSPICION_ODDS]
    assert odds_of(0.999) == SUSPICION_ODDS[0][1]
    assert odds_of(LEAST_STRENGTH) == odds_of(0.19) == SUSPICION_ODDS[-1][1]
    assert [odds for _, odds in SUSPICION_ODDS] == sorted((odds for _, odds in SUSPICION_ODDS), reverse=True)
