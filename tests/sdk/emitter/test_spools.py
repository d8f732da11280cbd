"""What is in a spool survives its process, stays within its bound, and is sent by the next one."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from aftercall.emitter import Emitter
from aftercall.emitter.folder import Folder
from aftercall.emitter.spool_file import SpoolFile
from aftercall.transports.transport import Message
from harness.emitting import Scripted, closing, emit, left_in, wait_for

IDS = [f"c{number}" for number in range(1200)]


def away(folder: Path, *ids: str, name: str = "scripted", **more: int) -> Emitter:
    """An emitter whose transport takes nothing; these events are in its spool."""
    emitter = Emitter(Scripted(room=0, name=name), spool=folder, **more)  # type: ignore[arg-type]  # bounds
    emit(emitter, *ids)
    wait_for(lambda: emitter.stats().in_memory == 0)
    return emitter


def message(size: int = 100) -> Message:
    return Message("calls", "key", b"x" * size)


def spool(folder: Path, limit: int = 1 << 20) -> SpoolFile:
    return Folder(folder, "here").make(limit)


def test_what_a_process_leaves_the_next_one_sends_and_the_sums_agree(tmp_path: Path) -> None:
    first = away(tmp_path, *IDS)
    first.close(0.1)
    assert first.stats().in_spool == len(IDS)
    transport = Scripted()
    with closing(Emitter(transport, spool=tmp_path)) as second:
        emit(second, "new")
        wait_for(lambda: second.stats().acknowledged == len(IDS) + 1)
        assert second.stats().adopted == len(IDS)
        assert second.stats().balanced
    assert sorted(transport.delivered) == sorted([*IDS, "new"])
    assert left_in(tmp_path) == []


def test_the_spool_of_a_living_process_and_of_another_destination_are_left_alone(tmp_path: Path) -> None:
    with closing(away(tmp_path, "living")):
        away(tmp_path, "elsewhere", name="another broker").close(0.1)
        transport = Scripted()
        with closing(Emitter(transport, spool=tmp_path)) as emitter:
            emit(emitter, "mine")
            assert emitter.flush(60)
            assert emitter.stats().adopted == 0
        assert transport.delivered == ["mine"]
        assert len(left_in(tmp_path)) == 2


def test_a_spool_is_for_its_user_alone_and_its_name_says_nothing(tmp_path: Path) -> None:
    with closing(away(tmp_path, "a")):
        (path,) = left_in(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.name.startswith(f"{os.getpid()}-")


def test_a_full_spool_refuses_the_newest_and_all_losses_are_counted(tmp_path: Path) -> None:
    emitter = away(tmp_path, *IDS, spool_bytes=64 << 10)
    stats = emitter.stats()
    assert stats.balanced
    assert stats.dropped["spool_full"] > 500
    assert stats.in_spool + stats.dropped["spool_full"] == len(IDS)
    (path,) = left_in(tmp_path)
    assert path.stat().st_size <= 64 << 10
    emit(emitter, "more")
    wait_for(lambda: emitter.stats().in_memory == 0)
    assert emitter.stats().dropped["spool_full"] == stats.dropped["spool_full"] + 1
    transport = emitter._transport
    assert isinstance(transport, Scripted)
    transport.room = 10**9
    wait_for(lambda: emitter.stats().in_spool + emitter.stats().handed_over == 0)
    emit(emitter, "after")
    assert emitter.flush(60)
    emitter.close(10)
    assert transport.delivered == [*IDS[: stats.in_spool], "after"]
    assert transport.values[-1]["attrs"] == {"dropped_before": stats.dropped["spool_full"] + 1}


def test_whether_a_full_spool_takes_an_event_does_not_depend_on_its_size(tmp_path: Path) -> None:
    full = spool(tmp_path, 100_000)
    assert full.append([message(90_000)]) == 1
    assert full.append([message(20_000), message(1)]) == 0
    assert full.append([message(1)]) == 0
    full.delete([1])
    assert full.append([message(1)]) == 1
    full.close()


def test_the_space_of_what_was_deleted_is_used_again(tmp_path: Path) -> None:
    used = spool(tmp_path, 1 << 20)
    for _ in range(10):
        assert used.append([message(2000)] * 300) == 300
        used.delete(range(used.first, used.last + 1))
    assert used.path.stat().st_size <= 1 << 20
    used.close()
    assert list(tmp_path.rglob("*.*")) == []


def test_a_disk_without_room_refuses_and_keeps_what_is_there(tmp_path: Path) -> None:
    full = spool(tmp_path, 1 << 20)
    full._db.run("pragma max_page_count = 8")
    kept = full.append([message(400)] * 100)
    assert 0 < kept < 100
    assert [row.number for row in full.read(0, 1000, 1 << 30)] == list(range(1, kept + 1))
    full.delete(range(1, kept + 1))
    assert full.append([message(400)]) == 1
    full.close()


def test_reading_is_bounded_in_bytes_and_gives_at_least_one(tmp_path: Path) -> None:
    filled = spool(tmp_path)
    filled.append([message(1000)] * 10)
    assert [row.number for row in filled.read(2, 100, 2500)] == [3, 4, 5]
    assert len(filled.read(0, 100, 1)) == 1
    filled.close()


@pytest.mark.parametrize("harm", [b"no database at all" * 100, b"\0" * 8192])
def test_a_damaged_spool_of_a_dead_process_is_set_aside(tmp_path: Path, harm: bytes) -> None:
    away(tmp_path, *IDS[:100]).close(0.1)
    (path,) = left_in(tmp_path)
    path.write_bytes(harm + path.read_bytes()[len(harm) :])
    (path.parent / "older.spool.damaged").write_bytes(b"")
    transport = Scripted()
    with closing(Emitter(transport, spool=tmp_path)) as emitter:
        emit(emitter, "a")
        assert emitter.flush(60)
    assert transport.delivered == ["a"]
    assert [path.name for path in path.parent.iterdir()] == [path.name + ".damaged"]


def test_a_spool_that_is_damaged_while_it_is_used_is_replaced_and_its_loss_counted(tmp_path: Path) -> None:
    emitter = away(tmp_path, *IDS[:300])
    (path,) = left_in(tmp_path)
    harm(path)
    emit(emitter, "after")
    wait_for(lambda: emitter.stats().dropped.get("damaged_spool") == 300)
    wait_for(lambda: emitter.stats().in_spool == 1)
    assert emitter.stats().balanced
    emitter.close(0.1)
    assert path.with_name(path.name + ".damaged").exists()


def harm(path: Path) -> None:
    """Overwrite all pages but the first, in the file and in its log."""
    with sqlite3.connect(path) as db:
        db.execute("pragma wal_checkpoint(truncate)")
    db.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))


def test_without_a_writable_folder_events_are_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    transport = Scripted()
    with closing(Emitter(transport, spool=tmp_path / "file" / "spool")) as emitter:
        emit(emitter, *IDS)
        assert emitter.flush(60)
    assert transport.delivered == IDS
    assert caplog.text.count("events are in memory only") == 1


def test_what_dead_processes_left_counts_as_that_of_the_one_that_adopted_it(tmp_path: Path) -> None:
    away(tmp_path, *IDS, spool_bytes=100_000).close(0.1)
    emitter = away(tmp_path, *IDS, spool_bytes=100_000)
    assert emitter.stats().adopted > 300
    assert sum(path.stat().st_size for path in left_in(tmp_path)) <= 150_000
    emitter.close(0.1)


def test_a_spool_of_another_version_is_left_alone(tmp_path: Path) -> None:
    away(tmp_path, "a").close(0.1)
    (path,) = left_in(tmp_path)
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    with closing(away(tmp_path, "b")) as emitter:
        assert emitter.stats().adopted == 0
        assert path in left_in(tmp_path)
