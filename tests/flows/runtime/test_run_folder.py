"""What a run's folder may be, who may look into it, and that nothing in it is opened through a link."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aftercall.errors import UsageError
from flows.runtime.run_folder import OUTPUTS, RunError, locked, open_run, state_folder, write_run


@pytest.fixture
def umask() -> Iterator[None]:
    """The usual one."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_only_its_user_may_look_into_the_state(tmp_path: Path) -> None:
    state = state_folder(tmp_path / "out")
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert list(state.iterdir()) == []


def test_a_state_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o2775)
    assert stat.S_IMODE(state_folder(tmp_path).stat().st_mode) == 0o2700


@pytest.mark.parametrize("name", ["outcomes.duckdb", "verdicts.jsonl", "texts"])
def test_a_run_does_not_begin_among_what_another_one_has_left(tmp_path: Path, name: str) -> None:
    """Its files would be taken for those of this run, and removed."""
    state = state_folder(tmp_path)
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match="must hold no outputs of another run"):
        open_run(tmp_path, {"fingerprint": "1", "deciding": {}, "settings": {}}, accept_config_change=False)
    assert not (state / "run.json").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("state/lock", "state/run.draft", "state/segments", "state/texts/1.buffer", "state/erase/x.request"),
        *("versions", "versions/7", "texts", "texts/2026-03-01/1.parquet", *OUTPUTS),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_that_is_not_ours_is_refused_and_what_it_leads_to_stays(
    tmp_path: Path,
    name: str,
    exists: bool,  # noqa: FBT001 - a case
) -> None:
    victim, link = tmp_path / "victim", tmp_path / "out" / name
    if exists:
        victim.write_text("precious")
    link.parent.mkdir(parents=True)
    link.symlink_to(victim)
    with pytest.raises(RunError, match=rf"{name}: must be a file or folder of this run; it is a link"):
        state_folder(tmp_path / "out")
    assert victim.exists() == exists
    assert not exists or victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["state/lock", "state/run.json", "state/deep/pipe", "versions/pipe", "verdicts.jsonl"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(RunError, match=f"{name}: must be a file or folder of this run; it is neither"):
        state_folder(tmp_path)


@pytest.mark.parametrize("newest", ["versions/8/outcomes.duckdb", "outcomes-7.duckdb"])
def test_the_link_to_the_newest_snapshot_is_ours(tmp_path: Path, newest: str) -> None:
    (tmp_path / newest).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / newest).touch()
    (tmp_path / "outcomes.duckdb").symlink_to(newest)
    state_folder(tmp_path)


@pytest.mark.parametrize("name", ["lock", "run.json"])
def test_a_link_that_comes_later_is_not_followed(tmp_path: Path, name: str) -> None:
    state, victim = state_folder(tmp_path / "out"), tmp_path / "victim"
    victim.write_text("precious")
    if name == "lock":
        (state / name).symlink_to(victim)
        with pytest.raises(OSError, match="symbolic links"), locked(state):
            pass
    else:
        (state / "run.draft").symlink_to(victim)
        write_run(state, {"finished": False})
    assert victim.read_text() == "precious"


def test_the_lock_keeps_what_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("text")
    with locked(tmp_path):
        assert (tmp_path / "lock").read_text() == "text"


def test_a_file_system_without_locks_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(RunError, match="must be on a file system that has locks; No locks available"), locked(tmp_path):
        pass


@pytest.mark.parametrize("name", ["what?", ":memory:", "md:out", "a?b/c", "latin\udce9"])
def test_a_path_that_duckdb_would_take_for_something_else_or_not_at_all_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--out: must"):
        state_folder(Path(name))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [".", "sp ace", "per%cent", "hash#x", "semi;x", "it's", 'say "x"', "ünï"])
def test_other_names_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert state_folder(Path(name)).is_dir()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(RunError, match="the output folder must be writable; it is a file"):
        state_folder(tmp_path / "out")
    (tmp_path / "versions").touch()
    with pytest.raises(RunError, match="versions: the output folder must be writable; it is a file"):
        state_folder(tmp_path)
