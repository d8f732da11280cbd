"""Single lines are those that an index counts, and lines are appended whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.files.index import index
from connectors.files.single_lines import append_lines, read_lines
from connectors.files.unpacking import Unpacking


def test_a_line_has_the_number_that_a_replay_gives_it(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"b": 2}\n{"c": 3}')
    found = index([path], [], tmp_path)
    by_index = {
        line: bytes(found.data[0][start : start + length])
        for line, start, length in zip(found.line.tolist(), found.start.tolist(), found.length.tolist(), strict=True)
    }
    assert by_index == {1: b'{"a": 1}', 4: b'{"b": 2}', 5: b'{"c": 3}'}
    assert dict(read_lines(Unpacking(tmp_path), path, [5, 1, 4, 9])) == by_index
    assert dict(read_lines(Unpacking(tmp_path), path, [4, 4])) == {4: b'{"b": 2}'}
    (tmp_path / "empty.jsonl").touch()
    assert dict(read_lines(Unpacking(tmp_path), tmp_path / "empty.jsonl", [1])) == {}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, b"x\ny\n"),
        (b"", b"x\ny\n"),
        (b'{"a": 1}\n', b'{"a": 1}\nx\ny\n'),
        (b'{"a": 1}', b'{"a": 1}\nx\ny\n'),  # a whole line that lacks its end
        (b'{"a": 1}\n{"b": ', b'{"a": 1}\nx\ny\n'),  # a crash left half of one
        (b"{", b"x\ny\n"),
    ],
)
def test_lines_are_appended_after_the_last_whole_one(before: bytes | None, after: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    if before is not None:
        path.write_bytes(before)
    first = append_lines(path, [b"x", b"y"])
    assert path.read_bytes() == after
    assert path.read_bytes().splitlines()[first - 1] == b"x"


def test_nothing_is_appended_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("theirs\n")
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match=r"symbolic"):
        append_lines(tmp_path / "a.jsonl", [b"x"])
    assert (tmp_path / "other").read_text() == "theirs\n"
