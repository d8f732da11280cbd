"""The output file holds every line once, whatever happens between two epochs."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from connectors.files.jsonl_sink import JsonlSink, JsonlState, OutputError


def state(data: bytes) -> JsonlState:
    return {"length": len(data), "crc32": zlib.crc32(data)}


def test_lines_are_appended_with_their_ends(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "a.jsonl")
    part = sink.build_part("out", sink.list_parts()[0], None)
    part.write_batch([[("a", b"1"), ("b", b"2")]])
    part.write_batch([])
    assert part.snapshot() == state(b"1\n2\n")
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
    assert again.snapshot() == state(b"kept\nafter\n")
    again.close()
    assert path.read_bytes() == b"kept\nafter\n"


def test_a_fresh_start_empties_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"old\n")
    part = JsonlSink(path).build_part("out", "a.jsonl", None)
    assert part.snapshot() == state(b"")
    part.close()
    assert path.read_bytes() == b""


def test_a_file_shorter_than_committed_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n")
    with pytest.raises(OutputError, match="must have the 9 bytes that were already committed; it has 2"):
        JsonlSink(path).build_part("out", "a.jsonl", {"length": 9, "crc32": 0})
    assert path.read_bytes() == b"1\n"


def test_a_folder_that_is_missing_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        JsonlSink(tmp_path / "no" / "a.jsonl").build_part("out", "a.jsonl", None)


def test_every_bit_that_flips_in_what_was_committed_is_found_and_none_behind_it_matters(tmp_path: Path) -> None:
    path, sound = tmp_path / "a.jsonl", b"1\n2\n"
    for bit in range(8 * (len(sound) + 1)):
        data = bytearray(sound + b"3")
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        if bit < 8 * len(sound):
            with pytest.raises(OutputError, match="must have the 4 bytes that were already committed; they differ"):
                JsonlSink(path).build_part("out", "a.jsonl", state(sound))
            assert path.read_bytes() == data, "what is refused is left as it is"
        else:
            JsonlSink(path).build_part("out", "a.jsonl", state(sound)).close()
            assert path.read_bytes() == sound


def test_a_state_that_was_a_length_goes_on_with_the_checksum_of_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"1\n2\n3")
    part = JsonlSink(path).build_part("out", "a.jsonl", JsonlSink.state_migrations[1](4))
    part.write_batch([[("a", b"4")]])
    assert part.snapshot() == state(b"1\n2\n4\n")
    part.close()
