"""Counts of heavy hitters are never too high, too low by a known part, and exact for few."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from models import plain
from models.groups import heavy_hitters
from models.groups.heavy_hitters import HeavyHitters
from models.messages import Group

MOST = 3
STREAM = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(1, 5)), max_size=80)


def named(number: int) -> Group:
    return ("t", "m", str(number))


@given(STREAM)
def test_counts_are_too_low_by_at_most_a_known_part(stream: list[tuple[int, int, int]]) -> None:
    hitters, truth = HeavyHitters(), [Counter[Group]() for _ in range(3)]
    with patch.object(heavy_hitters, "MOST_COUNTED", MOST):
        for number, hour, calls in stream:
            hitters = HeavyHitters(plain.unpack(plain.pack(hitters.state())))
            hitters.add(named(number), hour, calls)
            truth[hour][named(number)] += calls
    for hour, exact in enumerate(truth):
        found, total = hitters.calls(hour, hour + 1)
        assert total == exact.total()
        assert len(found) <= 2 * MOST
        error = 0 if len(exact) <= 2 * MOST else exact.total() / (MOST + 1)
        assert all(exact[name] - error <= found[name] <= exact[name] for name in exact)


def test_what_is_taken_or_forgotten_is_gone() -> None:
    hitters = HeavyHitters()
    for hour in (5, 6, 7):
        hitters.add(named(1), hour, hour)
        hitters.add(named(2), hour, 1)
    assert hitters.take(named(1)) == {5: 5, 6: 6, 7: 7}
    hitters.forget(6)
    assert hitters.hours() == [6, 7]
    assert hitters.calls(0, 9) == (Counter({named(2): 2}), 2)
