"""Lanes tell each other how far behind they are."""

from __future__ import annotations

from pathlib import Path

from connectors.kafka.progress_board import LeadBoard


def test_what_one_lane_tells_all_see_also_through_another_mapping(tmp_path: Path) -> None:
    mine, other = LeadBoard(tmp_path / "lead", 3), LeadBoard(tmp_path / "lead", 3)
    assert mine.slowest() is None
    mine.tell(0, 50)
    other.tell(2, 40)
    assert mine.slowest() == other.slowest() == 40
    other.tell(2, None)
    assert mine.slowest() == 50


def test_a_board_of_another_size_is_made_anew(tmp_path: Path) -> None:
    LeadBoard(tmp_path / "lead", 3).tell(0, 1)
    assert LeadBoard(tmp_path / "lead", 4).slowest() is None
