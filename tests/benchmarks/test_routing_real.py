"""What the replay of recorded outcomes counts, on worlds that are small enough to know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.routing_real.__main__ import measured
from benchmarks.routing_real.following import asked, follow
from benchmarks.routing_real.minutes import Calls, Known, closed
from benchmarks.routing_real.worlds import Phase, RecordedWorld, worlds
from models.arrays import F64

BEGIN = 20_139 * 1440


def phase(rates: list[float], tasks: int = 200, costs: list[float] | None = None) -> Phase:
    """Each arm solves the first tasks, as many as its rate says."""
    success = np.array([[task < rate * tasks for rate in rates] for task in range(tasks)])
    of: F64 = np.tile(costs or [np.nan] * len(rates), (tasks, 1))
    return Phase(success, np.ones_like(success), of)


@pytest.mark.slow
def test_the_best_of_four_arms_is_found_and_what_is_lost_is_less_than_by_chance() -> None:
    world = RecordedWorld("four", ("d", "c", "b", "a"), (phase([0.3, 0.9, 0.5, 0.4]),))
    (row,) = measured(world, 600, runs=4, seed=(1, 1))
    assert (row.best, row.best_arm) == (0.9, "c")
    assert row.uniform == pytest.approx(0.525)
    assert row.lost == pytest.approx(1000 * (0.9 - row.rate))
    assert row.lost < 0.4 * 1000 * (row.best - row.uniform)
    assert row.last_lost < 60


def test_an_outcome_that_no_call_had_changes_nothing() -> None:
    """The policy sees only outcomes of arms that it chose: of a call that is unknown, nothing."""
    known = phase([0.5, 0.5])
    hidden = known._replace(known=np.zeros_like(known.known))
    other = hidden._replace(success=~hidden.success)
    draws = [
        follow(RecordedWorld("w", ("a", "b"), (of,)), 120, None, np.random.default_rng(5)) for of in (hidden, other)
    ]
    assert draws[0].rate == pytest.approx(1 - draws[1].rate)


def test_messages_hold_each_call_and_outcome_once_in_the_order_of_names() -> None:
    calls = Calls(np.array([0, 1, 0]), BEGIN + np.array([0, 1, 2]), np.full(3, 0.5))
    known = Known(np.array([1, 0]), BEGIN + np.array([5, 6]), BEGIN + np.array([0, 1]), np.array([True, False]))
    made = closed(("b", "a"), calls, known, BEGIN + 15)
    assert [name[1] for name in made.names] == ["a", "b"]
    assert (made.trials.calls.sum(), made.trials.successes.sum(), made.trials.failures.sum()) == (3, 1, 1)
    successes = {
        made.names[code][1]: int(n) for code, n in zip(made.dated.code, made.dated.successes, strict=True) if n
    }
    assert successes == {"a": 1}
    assert made.dated.calls.sum() == 3
    assert made.delays.count.sum() == 2
    assert list(made.values.code) == [1, 0, 1]


def test_each_task_is_asked_once_before_any_is_asked_again() -> None:
    tasks = asked(phase([0.5], tasks=7), 17, np.random.default_rng(1))
    assert sorted(tasks[:7]) == sorted(tasks[7:14]) == list(range(7))
    assert len(tasks) == 17


def test_sets_that_are_absent_are_named(tmp_path: Path) -> None:
    assert worlds(tmp_path) == ([], ["openhands_index", "llmdrift"])


@pytest.mark.skipif(len(worlds()[1]) > 0, reason="needs ../shared/data, which is not part of the repository")
def test_recorded_worlds_have_the_rates_of_their_labels() -> None:
    from benchmarks.real_sets import DATA

    by_name = {world.name: world for world in worlds()[0]}
    assert len(by_name["openhands_index, swe-bench"].arms) == 34
    for label in json.loads((DATA / "llmdrift" / "labels.json").read_text()):
        if label["task_type"] != "opinionqa":  # whose questions are not all in both versions
            world = by_name[f"llmdrift, {label['task_type']}"]
            arm = world.arms.index(label["model"])
            found = [phase.rates[arm] for phase in world.phases]
            assert found == pytest.approx([label["rate_before"], label["rate_after"]], abs=1e-9)
