"""Files that are rotated, shared by processes and cut to whole lines."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aftercall.transports.file import FileTransport
from aftercall.transports.transport import Message, UnavailableError

LINE = Message("calls", "k", b'{"call_id":"c"}')
WRITES = """
import sys
from aftercall.transports.file import FileTransport
from aftercall.transports.transport import Message
transport = FileTransport(sys.argv[1], rotate_bytes=2000)
for number in range(200):
    transport.offer([(number, Message("calls", "k", b"%s-%d" % (sys.argv[2].encode(), number)))])
"""


def lines(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.glob("calls*.jsonl")) for line in path.read_bytes().splitlines()]


def test_a_file_is_rotated_and_nothing_is_deleted(tmp_path: Path) -> None:
    transport = FileTransport(tmp_path, rotate_bytes=100)
    for number in range(40):
        assert transport.offer([(number, LINE)]) == 1
    assert len(lines(tmp_path)) == 40
    sizes = [path.stat().st_size for path in tmp_path.glob("calls-*.jsonl")]
    assert len(sizes) >= 5
    assert all(100 <= size < 100 + len(LINE.value) + 1 for size in sizes)


def test_processes_that_share_a_folder_lose_and_split_no_line(tmp_path: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", WRITES, str(tmp_path), name]) for name in "abc"]
    assert [process.wait(120) for process in processes] == [0, 0, 0]
    assert sorted(lines(tmp_path)) == sorted(f"{name}-{number}".encode() for name in "abc" for number in range(200))


def test_what_a_full_disk_took_in_part_is_cut_off_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transport = FileTransport(tmp_path)
    transport.offer([(1, LINE)])
    write = os.write
    room = [5]

    def until_full(handle: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data[: room.pop()])

    monkeypatch.setattr(os, "write", until_full)
    transport.receipts(0.0)
    with pytest.raises(UnavailableError, match="No space"):
        transport.offer([(2, LINE)])
    assert transport.receipts(0.0) == []
    assert lines(tmp_path) == [LINE.value]


def test_a_folder_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    transport = FileTransport(tmp_path / "file" / "folder")
    with pytest.raises(UnavailableError):
        transport.open()
    (tmp_path / "file").unlink()
    transport.open()
    assert transport.offer([(1, LINE)]) == 1
