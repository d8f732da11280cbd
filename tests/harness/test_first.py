"""Long tests are dealt to the beginnings of the stretches that processes get; none is lost."""

from __future__ import annotations

import pytest

from harness.first import dealt


@pytest.mark.parametrize("processes", [2, 3, 5])
@pytest.mark.parametrize("long", [0, 1, 4, 7])
@pytest.mark.parametrize("others", [7, 20, 101])
def test_each_stretch_begins_with_its_long_ones_and_all_are_there(processes: int, long: int, others: int) -> None:
    first, rest = [f"long-{i}" for i in range(long)], [f"{i}" for i in range(others)]
    found = dealt(first, rest, processes)
    assert sorted(found) == sorted(first + rest)
    assert [one for one in found if one in rest] == rest, "in their order"
    each, left = divmod(len(found), processes)
    begin = 0
    for number in range(processes):
        share = first[number::processes]
        assert found[begin : begin + len(share)] == share
        begin += each + (number < left)
