"""What is on disk is missing, damaged or of another run, or there is no room: it is reported, and nothing is lost."""

from __future__ import annotations

import pickle
import resource
import shutil
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from benchmarks.faults.small_disk import small_disk as mounted
from flows.runtime.run_folder import VERSION
from kafka.service import Pipeline
from models.state import Envelopes
from system.run_file import change_run

Pipelines = Callable[..., Pipeline]
GARBAGE = b"garbage" * 2_000


def damaged(path: Path, how: str) -> None:
    whole = path.read_bytes()
    path.unlink()
    if how != "missing":
        path.write_bytes(GARBAGE if how == "garbage" else whole[: len(whole) // 2])


@pytest.mark.slow
def test_damaged_state_is_refused_and_put_back_it_goes_on(pipeline: Pipelines) -> None:
    it = pipeline().ran()
    state, kept = it.out / "state", it.folder / "kept"
    shutil.copytree(state, kept)
    store, live = state / "recovery" / "part-0.sqlite3", state / "live.duckdb"
    for path, how, processes, parts in (
        (store, "garbage", 1, ("part-0.sqlite3", "must be as it was left", "put it back")),
        (store, "truncated", 2, ("part-0.sqlite3", "must be as it was left", "put it back")),
        (store, "missing", 1, ("recovery", "it is gone")),
        (live, "missing", 1, ("live.duckdb", "must reach cut", "restore the file")),
        (live, "garbage", 2, ("live.duckdb", "not a valid DuckDB")),
        (live, "truncated", 1, ("live.duckdb", "must be usable")),
        (state / "run.json", "truncated", 1, ("run.json", "must be readable")),
    ):
        damaged(path, how)
        # A copy that was put back is behind the claim of the run that it is a copy of.
        starting = it.start("--take-over", processes=processes)
        starting.assert_refused(1, *parts, members=processes > 1 and path == live)
        shutil.rmtree(state)
        shutil.copytree(kept, state)
    (state / "recovery").rename(it.folder / "elsewhere")
    it.start("--take-over").assert_refused(1, "recovery", "it is gone", "put it back")
    (it.folder / "elsewhere").rename(state / "recovery")
    it.assert_goes_on("--take-over")


@pytest.mark.slow
def test_state_of_another_version_is_refused(pipeline: Pipelines) -> None:
    it = pipeline().ran()
    store = it.out / "state" / "recovery" / "part-0.sqlite3"
    change_run(it.out, stopped=None)
    kept = store.read_bytes()
    for step, processes in (("lanes", 1), ("join", 1), ("snapshot_out", 2)):
        of_another_version(store, step)
        it.start(processes=processes).assert_refused(1, f"step '{step}'", "version", "99", members=processes > 1)
        store.write_bytes(kept)
    run = it.out / "state" / "run.json"
    written = run.read_text()
    change_run(it.out, version=99)
    it.start().assert_refused(1, "run.json", f"version {VERSION}; got 99")
    run.write_text(written)
    it.assert_goes_on()


def of_another_version(store: Path, step: str) -> None:
    envelopes = Envelopes()
    with closing(sqlite3.connect(store)) as database:
        found = database.execute(
            "SELECT rowid, ser_change FROM snaps WHERE step_id = ? AND ser_change IS NOT NULL", [f"outcomes.{step}"]
        ).fetchall()
        assert found
        for row, stored in found:
            envelope = envelopes.read(pickle.loads(stored), step)
            newer = pickle.dumps(envelopes.seal(envelope._replace(version=99)), 4)
            database.execute("UPDATE snaps SET ser_change = ? WHERE rowid = ?", [newer, row])
        database.commit()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "disk", 80) as disk:
        if disk is None:
            pytest.skip("a small disk can be mounted by root alone")
        yield disk


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_full_disk_ends_it_with_a_sentence_and_with_room_it_goes_on(
    pipeline: Pipelines, small_disk: Path, processes: int
) -> None:
    it = pipeline()
    it.out = small_disk / "out"
    it.send(300)
    running = it.start(processes=processes)
    running.until_counted()
    ballast = small_disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    it.send(3_000)
    # What is written just then may fail before anybody looks for room.
    running.assert_refused(1, str(it.out), members=processes > 1)
    it.start(processes=processes).assert_refused(1, "MiB must be free")
    ballast.unlink()
    it.assert_goes_on(processes=processes)
    it.close()


@pytest.mark.slow
def test_a_write_that_fails_all_of_a_sudden_ends_it_with_a_sentence(pipeline: Pipelines) -> None:
    """As a quota does, which leaves the disk free: whichever of the state's files cannot grow first."""
    it = pipeline().ran()
    it.send(20_000)
    running = it.start(before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_200_000, 1_200_000)))
    running.assert_refused(1, "check the disk")
    it.assert_goes_on()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_other_settings_that_decide_verdicts_need_to_be_accepted(pipeline: Pipelines, processes: int) -> None:
    it = pipeline(horizon="20d").ran()
    it.settings["join"]["horizon"] = "10d"
    it.start(processes=processes).assert_refused(2, "join.horizon was '20d', is '10d'", "--accept-config-change")
    it.assert_goes_on("--accept-config-change", processes=processes)


@pytest.mark.slow
def test_a_folder_belongs_to_its_topics_and_lanes(pipeline: Pipelines) -> None:
    it = pipeline().ran()
    calls = it.topics["calls"]
    it.settings["kafka.topics"]["calls"] = it.cluster.fresh_topic(2, "others")
    it.start().assert_refused(2, "must hold no other run's state", f"kafka.topics.calls was {calls}, is others-")
    it.settings["kafka.topics"]["calls"] = calls
    it.settings["kafka"]["lanes"] = 3
    it.start().assert_refused(2, "kafka.lanes was 2, is 3")
    it.settings["kafka"]["lanes"] = 2
    it.assert_goes_on()


@pytest.mark.slow
def test_a_folder_and_a_port_belong_to_one_process(pipeline: Pipelines) -> None:
    it = pipeline()
    it.send(30)
    with socket.create_server(("127.0.0.1", it.settings["service"]["port"] + 1)):
        # Process 0 has its port; process 1 has not.
        it.start(processes=2).assert_refused(1, f"{it.settings['service']['port'] + 1} must be free", members=True)
    running = it.start()
    running.until(running.ready)
    it.start().assert_refused(1, "must be this run's alone")
    other = pipeline()
    other.settings["service"] = it.settings["service"]
    other.start().assert_refused(1, f"{it.settings['service']['port']} must be free", "service.port")
    running.until_counted()
    running.stop()
    it.assert_right()
