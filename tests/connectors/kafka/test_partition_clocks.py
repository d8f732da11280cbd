"""The watermark of a lane: what holds it back, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import NEVER
from connectors.batch import ENDED
from connectors.kafka.partition_clocks import PartitionClocks

IDLE_S = 60.0


def _clocks(count: int) -> PartitionClocks:
    clocks = PartitionClocks(IDLE_S)
    for _ in range(count):
        clocks.add()
    return clocks


def _read(clocks: PartitionClocks, records: list[tuple[int, int]]) -> list[int]:
    partition = np.array([p for p, _ in records], np.int32)
    at = np.array([t for _, t in records], np.int64)
    return [int(wm) for wm in clocks.read(partition, at)]


def test_it_does_not_start_before_each_partition_has_a_record_or_is_known_to_be_empty() -> None:
    clocks = _clocks(2)
    assert _read(clocks, [(0, 5)]) == [NEVER]
    assert clocks.low() == (NEVER, False)
    clocks.reached_end(1, 0, 0.0)
    assert clocks.low() == (NEVER, False), "something may have been written since, and not been fetched yet"
    clocks.confirm(1, 0, 1.0, 4)
    assert clocks.low() == (4, False), "then it was empty, and 4 was read"


def test_an_idle_partition_counts_as_far_as_was_read_when_its_end_was_asked_for() -> None:
    clocks = _clocks(2)
    _read(clocks, [(0, 5), (1, 9)])
    clocks.reached_end(0, 100, 10.0)
    clocks.confirm(0, 100, 69.0, 9)
    assert clocks.low() == (5, False), "59 s are not 60"
    clocks.confirm(0, 100, 70.0, 9)
    assert clocks.low() == (9, False)
    _read(clocks, [(1, 80_000)])
    assert clocks.low() == (9, False), "the broker is slow or away: what waits in partition 0 is unknown"
    clocks.confirm(0, 100, 80.0, 70_000)
    assert clocks.low() == (70_000, False)
    clocks.confirm(0, 101, 90.0, 80_000)
    assert clocks.low() == (5, False), "there is something to read, so what counts is its own clock"
    assert _read(clocks, [(0, 75_000), (1, 80_001)]) == [5, 75_000]


def test_the_calls_of_an_idle_partition_count_no_further_than_its_end_was_confirmed() -> None:
    """Else, after the broker was away, outcomes would be given up whose calls are there and not fetched yet."""
    clocks, is_call = _clocks(3), np.array([True, True, False])
    assert clocks.calls(is_call) == (NEVER, NEVER)
    _read(clocks, [(0, 5), (1, 9), (2, 700)])
    clocks.reached_end(0, 100, 10.0)
    assert clocks.calls(is_call) == (5, 9)
    clocks.confirm(0, 100, 70.0, 8)
    assert clocks.calls(is_call) == (8, 9)
    _read(clocks, [(1, 80_000)])
    assert clocks.calls(is_call) == (8, 80_000)
    clocks.confirm(0, 100, 80.0, 80_000)
    assert clocks.calls(is_call) == (80_000, 80_000)
    assert clocks.calls(np.zeros(3, np.bool_)) == (ENDED, ENDED)


def test_behind_an_open_transaction_nothing_is_at_its_end() -> None:
    clocks = _clocks(2)
    _read(clocks, [(0, 5), (1, 9)])
    clocks.reached_end(0, 100, 0.0)
    clocks.confirm(0, 100, 60.0, 9)
    clocks.confirm(0, 100, 61.0, 9, is_open=True)
    assert not clocks.at_end[0]
    assert clocks.low() == (5, False)
    assert clocks.slowest() == 5
    clocks.confirm(0, 100, 62.0, 9)
    assert clocks.low() == (9, False)
    empty = _clocks(2)
    _read(empty, [(0, 5)])
    empty.reached_end(1, 0, 0.0)
    empty.confirm(1, 0, 0.0, 5, is_open=True)
    assert empty.low() == (NEVER, False), "its first record may be in the transaction"


def test_while_all_partitions_are_idle_it_is_the_greatest_clock_of_all_lanes() -> None:
    clocks = _clocks(2)
    _read(clocks, [(0, 5), (1, 7)])
    for partition in (0, 1):
        clocks.reached_end(partition, 1, 0.0)
        clocks.confirm(partition, 1, 60.0, 8)
    assert clocks.low() == (8, False)
    assert clocks.high() == 7
    _read(clocks, [(0, 3)])
    assert clocks.low() == (5, False)


def test_partitions_without_any_make_an_idle_lane() -> None:
    assert _clocks(0).low() == (NEVER, True)


def test_refused_records_move_no_clock_but_end_idleness() -> None:
    clocks = _clocks(1)
    _read(clocks, [(0, 5)])
    clocks.reached_end(0, 1, 0.0)
    clocks.confirm(0, 1, 60.0, 9)
    _read(clocks, [(0, NEVER)])
    assert clocks.low() == (5, False)


@pytest.mark.parametrize("partitions", [1, 3])
@given(data=st.data())
def test_watermarks_equal_those_of_a_loop_over_records(partitions: int, data: st.DataObject) -> None:
    batches = data.draw(
        st.lists(st.lists(st.tuples(st.integers(0, partitions - 1), st.just(NEVER) | st.integers(0, 50)), max_size=8))
    )
    clocks, slow = _clocks(partitions), [NEVER] * partitions
    for batch in batches:
        expected = []
        for partition, at in batch:
            expected.append(min(slow))
            slow[partition] = max(slow[partition], at)
        if batch:
            assert _read(clocks, batch) == expected
        assert clocks.low() == (min(slow), False)
        assert clocks.high() == max(slow)
        assert clocks.slowest() == min((clock for clock in slow if clock != NEVER), default=None)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100)), min_size=1, max_size=20))
def test_a_partition_that_is_not_timed_holds_nothing_back_and_moves_nothing(records: list[tuple[int, int]]) -> None:
    """Partition 2 is not timed; its records meet the watermark, and the others meet what they would without it."""
    with_marks, without = _clocks(2), _clocks(2)
    with_marks.add(timed=False)
    found = _read(with_marks, [(p, NEVER if p == 2 else at) for p, at in records])
    timed = [(p, at) for p, at in records if p < 2]
    expected = _read(without, timed) if timed else []
    assert [wm for wm, (p, _) in zip(found, records, strict=True) if p < 2] == expected
    assert with_marks.low() == without.low()
    assert (with_marks.high(), with_marks.slowest()) == (without.high(), without.slowest())
    for i, (p, _) in enumerate(records):
        if p == 2:
            before = _clocks(2)
            _read(before, [one for one in records[:i] if one[0] < 2] or [(0, NEVER)])
            assert found[i] == before.low()[0]


def test_a_lane_that_reads_marks_alone_has_no_clock() -> None:
    clocks = PartitionClocks(IDLE_S)
    clocks.add(timed=False)
    assert _read(clocks, [(0, NEVER), (0, NEVER)]) == [NEVER, NEVER]
    assert (clocks.low(), clocks.high(), clocks.slowest(), clocks.all_idle) == ((NEVER, True), NEVER, None, True)
