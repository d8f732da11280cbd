"""Lanes share how far behind they are."""

from __future__ import annotations

from pathlib import Path

from aftercall.times import NEVER
from connectors.kafka.progress_board import ProgressBoard


def test_what_one_lane_publishes_all_read_also_through_another_mapping(tmp_path: Path) -> None:
    board, other = ProgressBoard(tmp_path / "lead", 3), ProgressBoard(tmp_path / "lead", 3)
    assert board.slowest() is None
    assert board.read_to() == NEVER
    board.publish(0, 50, 60)
    other.publish(2, 40, 90)
    assert board.slowest() == other.slowest() == 40
    assert board.read_to() == other.read_to() == 90
    other.publish(2, None, NEVER)
    assert (board.slowest(), board.read_to()) == (50, 60)


def test_a_board_of_another_size_is_replaced(tmp_path: Path) -> None:
    ProgressBoard(tmp_path / "lead", 3).publish(0, 1, 1)
    assert ProgressBoard(tmp_path / "lead", 4).slowest() is None
