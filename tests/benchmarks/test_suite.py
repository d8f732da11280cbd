"""The recorded figures of the gate keep what is wanted of them, and its benchmark measures all of them."""

from __future__ import annotations

import json
import operator

import numpy as np
import pytest

from benchmarks.report import RESULTS
from benchmarks.suite import gate, shapes
from benchmarks.suite.__main__ import WANTED

FIGURES = json.loads((RESULTS / "suite.json").read_text())["figures"]
HOLDS = {"<=": operator.le, ">=": operator.ge}


@pytest.mark.parametrize("name", [name for name, wanted in WANTED.items() if wanted])
def test_a_recorded_figure_is_as_it_is_wanted(name: str) -> None:
    sign, bound = WANTED[name].split()
    assert HOLDS[sign](FIGURES[name], float(bound))


def test_all_figures_are_recorded() -> None:
    assert FIGURES.keys() == WANTED.keys()
    assert None not in FIGURES.values()


def test_few_builds_of_each_set_and_shape_go_through() -> None:
    rng = np.random.default_rng(3)
    found = gate.figures(3, rng) | shapes.figures(12, rng)
    assert found["gate_false_blocks_50"] == found["gate_false_blocks_200"] == found["shapes_false_blocks"] == 0
    assert found["plain_blocks_200_30%"] == 1
