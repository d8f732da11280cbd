"""The board shows all processes how far calls must be read before there is room."""

from __future__ import annotations

from pathlib import Path

from connectors.kafka.waiting_board import WaitingBoard


def test_the_farthest_need_of_any_shard_counts_and_a_start_goes_on_with_it(tmp_path: Path) -> None:
    one, other = WaitingBoard(tmp_path / "waiting", 12), WaitingBoard(tmp_path / "waiting", 12)
    assert other.needed() is None
    one.publish(3, 5_000)
    one.publish(4, 7_000)
    assert other.needed() == 7_000
    one.publish(4, None)
    assert other.needed() == 5_000
    assert WaitingBoard(tmp_path / "waiting", 12).needed() == 5_000
    assert WaitingBoard(tmp_path / "waiting", 11).needed() is None, "of another number of shards"
