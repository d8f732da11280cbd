"""However a test run ends, nothing that its tests started runs on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.guard import MARKS
from harness.reaper import marked
from harness.waiting import until
from system.runs import environment

STARTS_ONE_IN_A_SESSION_OF_ITS_OWN = """
import subprocess, sys, time
from pathlib import Path

def test_it(tmp_path):
    grandchild = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(3600)'])"
    subprocess.Popen([sys.executable, "-c", grandchild], start_new_session=True)
    Path("started").touch()
    time.sleep(3600)
"""
RUNS_A_SERVICE = """
import time
from pathlib import Path

def test_it(pipeline):
    it = pipeline()
    it.send(30)
    running = it.start(processes=2)
    running.until(running.ready)
    Path("started").touch()
    time.sleep(3600)
"""
ENDS_AND_LEAVES_ONE = """
import subprocess, sys

def test_it():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
"""


class Run:
    """A pytest over one file, and all that carries the mark it got from us."""

    def __init__(self, folder: Path, program: str, *options: str) -> None:
        (folder / "test_inner.py").write_text(program, encoding="utf-8")
        self._folder, self._mark = folder, os.urandom(16).hex()
        plugins = ("-p", "harness.guard", "-p", "kafka.fixtures", "-p", "no:cacheprovider")
        paths = os.pathsep.join((environment()["PYTHONPATH"], str(Path(__file__).parents[1])))
        self._printed = folder / "printed"
        with self._printed.open("wb") as printed:
            self.pytest = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-q", *plugins, *options, "test_inner.py"],
                env=environment(PYTHONPATH=paths, **{MARKS: f"{os.environ[MARKS]},{self._mark}"}),
                cwd=folder,
                stdout=printed,
                stderr=printed,
            )

    def all(self) -> list[str]:
        """The command lines of what lives."""
        paths = [Path(f"/proc/{pid}/cmdline") for pid in marked(self._mark.encode())]
        return [path.read_bytes().replace(b"\0", b" ").decode() for path in paths if path.exists()]

    def until_started(self) -> None:
        started = self._folder / "started"
        until(lambda: started.exists() or self.pytest.poll() is not None, self.all)
        assert self.pytest.poll() is None, self._printed.read_text()

    def until_nothing_lives(self) -> None:
        until(lambda: not self.all(), self.all)

    def close(self) -> None:
        self.pytest.kill()
        self.pytest.wait()


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[list[Run]]:
    made: list[Run] = []
    yield made
    for one in made:
        one.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "options"),
    [
        pytest.param(signal.SIGKILL, (), id="killed"),
        pytest.param(signal.SIGTERM, (), id="ended"),
        pytest.param(signal.SIGINT, (), id="interrupted"),
        pytest.param(signal.SIGKILL, ("-n", "1"), id="with a worker"),
        pytest.param(None, ("-o", "timeout=1", "-o", "timeout_method=thread"), id="timed out"),
    ],
)
def test_what_tests_started_ends_with_the_run(
    runs: list[Run], tmp_path: Path, sent: signal.Signals | None, options: tuple[str, ...]
) -> None:
    run = Run(tmp_path, STARTS_ONE_IN_A_SESSION_OF_ITS_OWN, *options)
    runs.append(run)
    if sent is not None:
        run.until_started()
        assert any("time.sleep(3600)" in line for line in run.all())
        run.pytest.send_signal(sent)
    until(lambda: run.pytest.poll() is not None, run.all)
    run.until_nothing_lives()


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_its_children_along_while_the_run_ends(runs: list[Run], tmp_path: Path) -> None:
    run = Run(tmp_path, STARTS_ONE_IN_A_SESSION_OF_ITS_OWN, "-n", "1", "--max-worker-restart", "0")
    runs.append(run)
    run.until_started()
    ours = str(run.pytest.pid)
    (worker,) = [
        pid
        for pid in marked(run._mark.encode())
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1] == ours
        and b"reaper" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(worker, signal.SIGKILL)
    until(lambda: not any("time.sleep" in line for line in run.all()), run.all)
    assert run.pytest.wait() != 0


@pytest.mark.slow
def test_what_a_test_forgets_ends_with_a_run_that_ends_by_itself(runs: list[Run], tmp_path: Path) -> None:
    run = Run(tmp_path, ENDS_AND_LEAVES_ONE)
    runs.append(run)
    assert run.pytest.wait() == 0
    assert run.all() == []


@pytest.mark.slow
@pytest.mark.kafka
def test_a_service_its_members_and_the_broker_end_with_a_run_that_is_killed(
    kafka_is_here: None, runs: list[Run], tmp_path: Path
) -> None:
    run = Run(tmp_path, RUNS_A_SERVICE)
    runs.append(run)
    run.until_started()
    assert sum("preloaded.py" in line for line in run.all()) == 4, "the members, their parent, and whose forks they are"
    assert any("kafka.Kafka" in line for line in run.all())
    run.pytest.kill()
    run.pytest.wait()
    run.until_nothing_lives()
