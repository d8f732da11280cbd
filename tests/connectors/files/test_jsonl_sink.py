"""The output file holds every line once, whatever happens between two epochs."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.files.jsonl_sink import JsonlSink, OutputError


def test_lines_are_appended_with_their_ends(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "a.jsonl")
    part = sink.build_part("out", sink.list_parts()[0], None)
    part.write_batch([[("a", b"1"), ("b", b"2")]])
    part.write_batch([])
    assert part.snapshot() == 4
    part.close()
    assert (tmp_path / "a.jsonl").read_bytes() == b"1\n2\n"


def test_what_a_snapshot_counts_is_in_the_file_and_what_came_after_is_cut_at_resume(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    part = JsonlSink(path).build_part("out", "a.jsonl", None)
    part.write_batch([[("a", b"kept")]])
    committed = part.snapshot()
    assert path.read_bytes() == b"kept\n"
    part.write_batch([[("a", b"lost and written again")]])
    part.snapshot()
    part.close()
    again = JsonlSink(path).build_part("out", "a.jsonl", committed)
    assert again.snapshot() == committed
    again.write_batch([[("a", b"after")]])
    assert again.snapshot() == len(b"kept\nafter\n")
    again.close()
    assert path.read_bytes() == b"kept\nafter\n"


def test_a_fresh_start_empties_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"old\n")
    part = JsonlSink(path).build_part("out", "a.jsonl", None)
    assert part.snapshot() == 0
    part.close()
    assert path.read_bytes() == b""


def test_a_file_shorter_than_committed_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n")
    with pytest.raises(OutputError, match="has 2 bytes but 9 were already committed"):
        JsonlSink(path).build_part("out", "a.jsonl", 9)
    assert path.read_bytes() == b"1\n"


def test_a_folder_that_is_missing_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        JsonlSink(tmp_path / "no" / "a.jsonl").build_part("out", "a.jsonl", None)
