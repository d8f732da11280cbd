from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from benchmarks.product import stages


def spin(seconds: float) -> float:
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    return seconds


@pytest.fixture(autouse=True)
def _nothing_spent() -> Iterator[None]:
    stages._SPENT_NS.clear()
    yield
    stages._SPENT_NS.clear()


@pytest.mark.parametrize("target", [target for targets in stages.TARGETS.values() for target in targets])
def test_the_product_has_the_functions_that_the_stages_are_made_of(target: str) -> None:
    assert callable(getattr(*stages.owner(target)[:2]))


def test_a_stage_has_what_it_took_without_what_another_one_took_within_it() -> None:
    inner = stages.timed("decode", lambda: spin(0.03))
    stages.timed("read", lambda: (spin(0.01), inner()))()
    spent = stages.spent(10**9, 0)
    assert 0.03e9 <= spent["decode"] < 0.04e9
    assert 0.01e9 <= spent["read"] < 0.03e9


def test_a_generator_is_read_to_its_end_within_its_stage() -> None:
    def rows() -> Iterator[float]:
        for _ in range(3):
            yield spin(0.01)

    assert stages.timed("snapshot", rows)() == [0.01] * 3
    assert stages.spent(10**9, 0)["snapshot"] >= 0.03e9


def test_time_is_counted_where_a_function_fails() -> None:
    def fail() -> None:
        spin(0.01)
        raise ValueError

    with pytest.raises(ValueError):
        stages.timed("join", fail)()
    assert stages.spent(10**9, 0)["join"] >= 0.01e9


def test_stages_add_up_to_the_whole() -> None:
    stages.timed("join", lambda: spin(0.01))()
    spent = stages.spent(10**9, 5_000_000)
    assert set(spent) == set(stages.STAGES)
    assert sum(spent.values()) == 10**9
    assert spent["client"] == 5_000_000
