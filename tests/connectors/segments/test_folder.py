"""A segment that was settled is on disk, what is left over goes, and a name leads nowhere else."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from aftercall.errors import StateError
from connectors.segments.folder import SegmentFolder
from connectors.segments.messages import Segment
from connectors.segments.sink import SEGMENTS_PART, SegmentError, SegmentPart, SegmentSink


def test_what_was_written_is_read(tmp_path: Path) -> None:
    folder = SegmentFolder(tmp_path / "segments")
    folder.write("join-s8-1", b"data")
    folder.settle()
    assert SegmentFolder(tmp_path / "segments").read("join-s8-1") == b"data"
    assert folder.size("join-s8-1") == 4
    assert folder.size("join-s8-2") is None


def test_what_was_settled_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file and the folder are forced to disk, the folder last."""
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(str(Path(f"/proc/self/fd/{handle}").readlink())))
    folder = SegmentFolder(tmp_path / "segments")
    for name in ("a", "b"):
        folder.write(name, b"1")
    folder.settle()
    assert [Path(path).name for path in synced] == ["a.segment", "b.segment", "segments"]
    folder.settle()
    assert len(synced) == 3, "nothing is new"
    folder.delete(["a"])
    folder.settle()
    assert Path(synced[-1]).name == "segments"


def test_a_segment_is_never_written_again(tmp_path: Path) -> None:
    folder = SegmentFolder(tmp_path)
    folder.write("a", b"1")
    with pytest.raises(FileExistsError):
        folder.write("a", b"2")
    assert folder.read("a") == b"1"


def test_what_no_state_needs_is_swept(tmp_path: Path) -> None:
    folder = SegmentFolder(tmp_path)
    for name in ("a", "b", "c"):
        folder.write(name, b"1")
    for name in ("b", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "theirs").mkdir()
    folder.sweep({"b"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.segment", "theirs"]
    SegmentFolder(tmp_path / "none").sweep(())


@pytest.mark.parametrize("name", ["../a", "a/b", "", ".a", "A", "a\0", "a.segment"])
def test_a_name_that_may_lead_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StateError, match="must be plain"):
        SegmentFolder(tmp_path).read(name)


def test_a_segment_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"join-s8-1\.segment: a part of the stored state must be readable"):
        SegmentFolder(tmp_path).read("join-s8-1")


def part(folder: SegmentFolder) -> SegmentPart:
    sink = SegmentSink(folder)
    assert sink.list_parts() == [SEGMENTS_PART]
    return sink.build_part("flow.segments_out", SEGMENTS_PART, None)


def test_what_is_replaced_goes_in_a_later_epoch(tmp_path: Path) -> None:
    sink = part(SegmentFolder(tmp_path))
    sink.write_batch([Segment("a", b"1")])
    sink.snapshot()
    sink.write_batch([Segment("b", b"2", replaced=("a",))])
    sink.write_batch([None])
    assert (tmp_path / "a.segment").exists(), "the epoch is not stored yet"
    sink.snapshot()
    assert (tmp_path / "a.segment").exists(), "nothing says that it is stored"
    sink.write_batch([None])
    assert not (tmp_path / "a.segment").exists()
    sink.snapshot()
    assert (tmp_path / "b.segment").exists()


def test_a_disk_that_refuses_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "segments").write_text("a file where the folder should be")
    sink = part(SegmentFolder(tmp_path / "segments"))
    with pytest.raises(SegmentError, match="the state must be writable"):
        sink.write_batch([Segment("a", b"1")])


def test_a_disk_that_is_full_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails for lack of room names no file."""
    folder = SegmentFolder(tmp_path)

    def full(name: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(folder, "write", full)
    with pytest.raises(SegmentError, match=rf"^{re.escape(str(tmp_path))}: the state must be writable; No space left"):
        part(folder).write_batch([Segment("a", b"1")])
