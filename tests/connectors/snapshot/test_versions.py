"""Where versions of a snapshot lie, and what a kill, a reader, an upgrade or another file system leaves of them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors.snapshot.store import SnapshotStore
from connectors.snapshot.versions import keep_newest, newest_version, versions

NOTHING: dict[str, Any] = {"calls": []}


class _KilledError(BaseException):
    """Stands for a kill: nothing of ours handles it."""


def publish(folder: Path, **how: Any) -> Path:
    store = SnapshotStore(folder, **how)
    try:
        return store.publish({}, NOTHING, NOTHING)
    finally:
        store.close()


def version_in(file: Path) -> int:
    with duckdb.connect(str(file.resolve()), read_only=True) as snapshot:
        catalog, version = snapshot.execute("SELECT current_catalog(), version FROM outcomes.pipeline").fetchall()[0]
    assert catalog == "outcomes"
    return int(version)


def in_folder(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "state" not in path.parts)


def as_before(folder: Path) -> None:
    """Give the folder the form of 2f0502d."""
    for version, path in versions(folder):
        path.rename(folder / f"outcomes-{version}.duckdb")
        newest = f"outcomes-{version}.duckdb"
    shutil.rmtree(folder / "versions")
    (folder / "outcomes.duckdb").unlink()
    (folder / "outcomes.duckdb").symlink_to(newest)


def test_the_link_leads_to_the_newest_version_wherever_the_folder_is_mounted(tmp_path: Path) -> None:
    for _ in range(2):
        publish(tmp_path / "out")
    assert in_folder(tmp_path / "out") == [
        "outcomes.duckdb", "versions", "versions/1", "versions/1/outcomes.duckdb", "versions/2",
        "versions/2/outcomes.duckdb",
    ]  # fmt: skip
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert version_in(tmp_path / "elsewhere" / "outcomes.duckdb") == 2


def test_only_the_last_versions_are_kept_and_a_reader_of_an_older_one_goes_on(tmp_path: Path) -> None:
    file = publish(tmp_path, keep=2)
    with duckdb.connect(str(file), read_only=True) as reader:
        for _ in range(3):
            publish(tmp_path, keep=2)
        assert [number for number, _ in versions(tmp_path)] == [3, 4]
        assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["3", "4"]
        assert reader.execute("SELECT version FROM pipeline").fetchall() == [(1,)]


def test_versions_in_the_form_before_count_and_are_removed_like_the_others(tmp_path: Path) -> None:
    for _ in range(3):
        publish(tmp_path)
    as_before(tmp_path)
    assert version_in_old_form(tmp_path) == newest_version(tmp_path) == 3
    assert publish(tmp_path) == tmp_path / "versions" / "4" / "outcomes.duckdb"
    assert [number for number, _ in versions(tmp_path)] == [2, 3, 4]
    assert version_in(tmp_path / "outcomes.duckdb") == 4
    assert keep_newest(tmp_path, 1) == 2
    assert in_folder(tmp_path) == ["outcomes.duckdb", "versions", "versions/4", "versions/4/outcomes.duckdb"]


def version_in_old_form(folder: Path) -> int:
    with duckdb.connect(str((folder / "outcomes.duckdb").resolve()), read_only=True) as snapshot:
        return int(snapshot.execute("SELECT version FROM pipeline").fetchall()[0][0])


@pytest.mark.parametrize("left", ["versions/7", "outcomes-7.duckdb", "versions/7/outcomes.duckdb"])
def test_no_path_is_used_twice(tmp_path: Path, left: str) -> None:
    """DuckDB 1.4 serves the old content of a path that is open, also where another file is there by now."""
    publish(tmp_path)
    if left == "versions/7":
        (tmp_path / left).mkdir()
    else:
        (tmp_path / "outcomes.duckdb").unlink()
        (tmp_path / "outcomes.duckdb").symlink_to(left)
    assert publish(tmp_path).parent.name == "8"


STEPS = (
    (Path, "mkdir"), (Path, "chmod"), (Path, "replace"), (Path, "symlink_to"), (Path, "unlink"), (Path, "rmdir"),
    (os, "fsync"),
)  # fmt: skip


@pytest.fixture
def killed_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Makes a call raise at its n-th step on the file system from now on, and each one after it; 0: none."""
    countdown = [0]

    def step(function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            if countdown[0]:
                countdown[0] -= 1
                if not countdown[0]:
                    countdown[0] = 1
                    raise _KilledError
            return function(*arguments, **named)

        return counted

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, step(getattr(owner, name)))

    def kill_at(number: int) -> None:
        countdown[0] = number + 1 if number else 0

    yield kill_at
    countdown[0] = 0


@pytest.mark.slow
@pytest.mark.parametrize("before", [False, True])
def test_a_kill_at_any_step_of_a_publication_leaves_whole_snapshots_and_the_next_one_cleans_up(
    tmp_path: Path,
    killed_at: Callable[[int], None],
    before: bool,  # noqa: FBT001 - a case
) -> None:
    for _ in range(3):
        publish(tmp_path / "begun")
    if before:
        as_before(tmp_path / "begun")
    kills = 0
    while True:
        folder = tmp_path / str(kills)
        shutil.copytree(tmp_path / "begun", folder, symlinks=True)
        store = SnapshotStore(folder)
        publication = store.begin_publish()
        killed_at(kills + 1)
        try:
            publication.write({}, NOTHING, NOTHING)
        except _KilledError:
            kills += 1
        else:
            break
        finally:
            killed_at(0)
            store.close()
        newest = (folder / "outcomes.duckdb").resolve(strict=True)
        assert newest in {path for number, path in versions(folder) if number in {3, 4}}
        again = publish(folder)
        assert (folder / "outcomes.duckdb").resolve() == again
        held = [path for _, path in versions(folder)]
        assert len(held) == 3
        left = {folder / name for name in ("outcomes.duckdb", "versions", "state")} | {path.parent for path in held}
        assert {*folder.rglob("*")} - {*(folder / "state").rglob("*")} == {*held, *left} - {folder}
    assert kills >= 10


def test_what_the_link_leads_to_is_on_disk_before_the_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        steps.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink()}".replace(f"{tmp_path}", "."))
        sync(handle)

    def replaced(self: Path, target: Path) -> Path:
        steps.append(f"to {target}".replace(f"{tmp_path}", "."))
        return replace(self, target)

    store = SnapshotStore(tmp_path)
    publication = store.begin_publish()
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    publication.write({}, NOTHING, NOTHING)
    assert steps == [
        "sync ./versions/.publishing-1/outcomes.duckdb", "sync ./versions/.publishing-1", "to ./versions/1",
        "sync ./versions", "sync .", "to ./outcomes.duckdb", "sync .",
    ]  # fmt: skip


def test_a_publication_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.begin_publish().abandon()
    assert in_folder(tmp_path) == ["versions"]


def test_what_a_killed_publication_of_the_form_before_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".publishing-3.duckdb").write_bytes(b"half")
    (tmp_path / ".publishing-link").symlink_to("outcomes-2.duckdb")
    publish(tmp_path)
    assert not list(tmp_path.glob(".publishing-*"))


def test_a_name_that_a_network_file_system_leaves_stops_nothing_and_goes_later(tmp_path: Path) -> None:
    left = publish(tmp_path, keep=1).with_name(".nfs0001")
    left.touch()
    publish(tmp_path, keep=1)
    assert left.exists()
    left.unlink()
    publish(tmp_path, keep=1)
    assert [path.name for path in (tmp_path / "versions").iterdir()] == ["3"]


@pytest.mark.parametrize(
    ("umask", "mode", "file", "folder"),
    [
        (0o022, None, 0o444, 0o755),
        (0o077, None, 0o400, 0o700),
        (0o077, 0o640, 0o640, 0o750),
        (0o077, 0o444, 0o444, 0o755),
    ],
)
def test_who_may_read_a_snapshot_may_enter_its_folders(
    tmp_path: Path, umask: int, mode: int | None, file: int, folder: int
) -> None:
    before = os.umask(umask)
    try:
        published = publish(tmp_path, mode=mode)
    finally:
        os.umask(before)
    rights = [stat.S_IMODE(path.stat().st_mode) for path in (published, published.parent, published.parent.parent)]
    assert rights == [file, folder, folder]


def test_a_group_that_a_folder_hands_down_stays(tmp_path: Path) -> None:
    tmp_path.chmod(0o2750)
    published = publish(tmp_path, mode=0o440)
    rights = [stat.S_IMODE(path.stat().st_mode) for path in (published.parent, published.parent.parent)]
    assert rights == [0o2750, 0o2750]
