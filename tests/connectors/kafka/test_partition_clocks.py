"""The watermark of a lane: what holds it back, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import NEVER
from connectors.kafka.partition_clocks import PartitionClocks

IDLE_S = 60.0


def _clocks(count: int) -> PartitionClocks:
    clocks = PartitionClocks(IDLE_S)
    for _ in range(count):
        clocks.add()
    return clocks


def _read(clocks: PartitionClocks, records: list[tuple[int, int]], now_s: float = 0.0) -> list[int]:
    partition = np.array([p for p, _ in records], np.int32)
    at = np.array([t for _, t in records], np.int64)
    return [int(wm) for wm in clocks.read(partition, at, now_s)]


def test_it_does_not_start_before_each_partition_has_a_record_or_is_known_to_be_empty() -> None:
    clocks = _clocks(2)
    assert _read(clocks, [(0, 5)]) == [NEVER]
    assert clocks.low(0.0) == (NEVER, False)
    clocks.reached_end(1, 0, 0.0)
    assert clocks.low(0.0) == (5, False)


def test_a_partition_is_left_out_only_while_the_broker_goes_on_confirming_its_end() -> None:
    clocks = _clocks(2)
    _read(clocks, [(0, 5), (1, 9)])
    clocks.reached_end(0, 100, 10.0)
    assert clocks.low(1000.0) == (5, False), "no lane has confirmed it since"
    clocks.confirm(0, 100, 69.0)
    assert clocks.low(69.0) == (5, False), "59 s are not 60"
    clocks.confirm(0, 100, 70.0)
    assert clocks.low(70.0) == (9, False)
    assert clocks.low(170.0) == (5, False), "the broker is away: what waits there is unknown"
    clocks.confirm(0, 101, 171.0)
    assert clocks.low(171.0) == (5, False), "there is something to read"


def test_behind_an_open_transaction_nothing_is_at_its_end() -> None:
    clocks = _clocks(2)
    _read(clocks, [(0, 5), (1, 9)])
    clocks.reached_end(0, 100, 0.0)
    clocks.confirm(0, 100, 60.0, is_open=True)
    assert not clocks.at_end[0]
    assert clocks.low(60.0) == (5, False)
    assert clocks.slowest() == 5
    clocks.confirm(0, 100, 61.0)
    assert clocks.low(61.0) == (9, False)
    empty = _clocks(2)
    _read(empty, [(0, 5)])
    empty.reached_end(1, 0, 0.0)
    empty.confirm(1, 0, 0.0, is_open=True)
    assert empty.low(0.0) == (NEVER, False), "its first record may be in the transaction"


def test_it_is_idle_once_all_partitions_are_and_no_longer_with_the_next_record() -> None:
    clocks = _clocks(1)
    _read(clocks, [(0, 5)])
    clocks.reached_end(0, 1, 0.0)
    clocks.confirm(0, 1, 60.0)
    assert clocks.low(60.0) == (NEVER, True)
    assert clocks.high() == 5
    _read(clocks, [(0, 3)], 61.0)
    assert clocks.low(61.0) == (5, False)


def test_partitions_without_any_make_an_idle_lane() -> None:
    assert _clocks(0).low(0.0) == (NEVER, True)


def test_refused_records_move_no_clock_but_end_idleness() -> None:
    clocks = _clocks(1)
    _read(clocks, [(0, 5)])
    clocks.reached_end(0, 1, 0.0)
    clocks.confirm(0, 1, 60.0)
    _read(clocks, [(0, NEVER)], 60.0)
    assert clocks.low(60.0) == (5, False)


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
        assert clocks.low(0.0) == (min(slow), False)
        assert clocks.high() == max(slow)
        assert clocks.slowest() == min((clock for clock in slow if clock != NEVER), default=None)
