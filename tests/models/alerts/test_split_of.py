"""A change in an alert's scope, split into parts of its mix and one within: what the record and its sentence have."""

from __future__ import annotations

import numpy as np
import pytest

from aftercall.records import SplitPart
from models.alerts.sentences import split_text
from models.alerts.split_of import split_of
from models.messages import Group

NAMES: list[Group] = [("t", "a", "x"), ("t", "a", "y"), ("t", "b", "x"), ("u", "b", "x")]
INSIDE = np.array([True, True, True, False])


def counts(*rows: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    failures, trials = np.array(rows, np.float64).T
    return failures, trials


def test_more_of_the_worse_config_is_mix_and_the_rest_is_within() -> None:
    before = counts((45, 900), (30, 100), (100, 1000), (0, 1000))
    since = counts((60, 600), (140, 400), (150, 1000), (900, 1000))
    found = split_of(NAMES, INSIDE, before, since)
    assert all(SplitPart(**one) for one in found)
    by = {one["dimension"]: one for one in found}
    assert list(by) == ["model", "config", "within"]
    assert by["model"]["points"] == 0
    assert by["config"]["points"] == pytest.approx(0.5 * 0.3 * (0.7 - 0.95))
    assert (by["config"]["value"], by["config"]["share_since"]) == ("y", pytest.approx(0.2))
    assert sum(one["points"] for one in found) == pytest.approx(175 / 2000 - 350 / 2000)
    sentence = split_text(found)
    assert sentence.startswith(" Beside this, -3.8 points (")
    assert sentence.endswith("are from a changed mix: 5% of the outcomes were of config 'y', now 20%.")


def test_a_scope_of_one_leaf_has_no_split() -> None:
    before = counts((45, 900), (30, 100), (100, 1000), (0, 1000))
    assert split_of(NAMES, np.array([False, False, False, True]), before, before) == []


def test_without_outcomes_before_there_is_no_split() -> None:
    nothing, some = counts((0, 0), (0, 0), (0, 0), (0, 0)), counts((1, 2), (1, 2), (1, 2), (1, 2))
    assert split_of(NAMES, INSIDE, nothing, some) == []
    assert split_of(NAMES, INSIDE, some, nothing) == []
