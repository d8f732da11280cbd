"""Modules may move: what is stored names none of ours."""

from __future__ import annotations

import pickle
from collections import deque
from datetime import date
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from models.state import is_envelope
from states import files
from states.golden import Golden, goldens, name_of
from states.holds import missing, stored_alone
from states.names import foreign, names
from states.stored import every_state
from states.traffic import Arm

STEPS = {
    f"outcomes.{name}"
    for name in (
        *("lanes", "join", "groups", "drift", "alerting", "routing", "snapshot_out"),
        *("verdicts_out", "alerts_out", "recommendations_out", "dead_letters_out"),
    )
}


def foreign_names(out: Path) -> dict[str, set[str]]:
    """By step, what its states name that they must not; every step that has a state must be there."""
    found = every_state(out)
    assert {state.step for state in found} >= STEPS
    return {state.step: foreign(state.data) for state in found if foreign(state.data)}


@pytest.mark.parametrize("golden", goldens(), ids=name_of)
def test_no_state_of_a_golden_names_a_class_of_ours(golden: Golden, tmp_path: Path) -> None:
    golden.unpack(tmp_path)
    assert foreign_names(tmp_path / files.OUT) == {}


@pytest.mark.slow
@pytest.mark.timeout(3 * files.WITHIN_S)
def test_no_state_that_this_code_stores_names_a_class_of_ours(tmp_path: Path) -> None:
    files.write(tmp_path)
    files.kill(tmp_path)
    assert missing(stored_alone(tmp_path / files.OUT)) == []
    found = every_state(tmp_path / files.OUT)
    assert {state.step for state in found} >= {*STEPS, "outcomes.segments_out"}
    assert {name for state in found for name in names(state.data)} == set(), "pickles of bytes alone name nothing"
    assert {is_envelope(pickle.loads(state.data)) for state in found} == {True}


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_a_class_is_found_however_deep_it_lies(protocol: int) -> None:
    arm = Arm("t", "m", "c", 1, 0, 0.5)
    held = {"version": 1, "rows": np.arange(3), "kept": [(1, arm), (2, arm)], "when": deque([date(2025, 3, 3)])}
    within = pickle.dumps({"state": pickle.dumps(held, protocol), "again": pickle.dumps([Arm], protocol)}, protocol)
    assert foreign(pickle.dumps(within, protocol)) == {"states.traffic.Arm", "collections.deque"}
    assert names(pickle.dumps(within, protocol)) > {"datetime.date", "states.traffic.Arm", "collections.deque"}


def test_a_name_whose_parts_the_memo_holds_is_found() -> None:
    assert foreign(pickle.dumps(["fractions", "Fraction", Fraction(1, 3)], 4)) == {"fractions.Fraction"}


def test_bytes_of_the_oldest_form_are_refused_as_one_cannot_look_into_them() -> None:
    assert foreign(pickle.dumps(pickle.dumps(Arm), 2)) == {"_codecs.encode"}


def test_arrays_and_plain_values_name_nothing_foreign() -> None:
    plain = {"arrays": [np.zeros(3), np.array([b"\x80\x05"], dtype=object)], "values": (1, None, "builtins", {2.0})}
    assert foreign(pickle.dumps(plain, 5)) == set()
