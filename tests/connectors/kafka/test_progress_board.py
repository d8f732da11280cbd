"""Lanes share how far behind they are."""

from __future__ import annotations

from pathlib import Path

from connectors.kafka.progress_board import ProgressBoard


def test_what_one_lane_publishes_all_read_also_through_another_mapping(tmp_path: Path) -> None:
    board, other = ProgressBoard(tmp_path / "lead", 3), ProgressBoard(tmp_path / "lead", 3)
    assert board.slowest() is None
    board.publish(0, 50)
    other.publish(2, 40)
    assert board.slowest() == other.slowest() == 40
    other.publish(2, None)
    assert board.slowest() == 50


def test_a_board_of_another_size_is_replaced(tmp_path: Path) -> None:
    ProgressBoard(tmp_path / "lead", 3).publish(0, 1)
    assert ProgressBoard(tmp_path / "lead", 4).slowest() is None
