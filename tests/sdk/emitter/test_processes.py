"""Forks, exits and kills, in real processes: each sends its own events, once, and what was in a spool is not lost."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from harness.emitting import left_in
from harness.producing import AWAY, arrived, program, run

FORKS = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
fork = multiprocessing.get_context("fork")

def child():
    emit("process"); emit("process again")

def pooled(name):
    emit(name)

def forked(name, end):
    emit("parent before " + name)
    if (pid := os.fork()) == 0:
        emit(name)
        end()
    assert os.waitpid(pid, 0)[1] == 0, name
    emit("parent after " + name)

emit("before")
process = fork.Process(target=child)
process.start()
process.join()
assert process.exitcode == 0
with ProcessPoolExecutor(2, mp_context=fork) as pool:
    list(pool.map(pooled, ["pool 0", "pool 1", "pool 2"]))
forked("exits", sys.exit)
forked("flushes", lambda: os._exit(0 if emitter.flush(60) else 3))
emit("last")
"""
EMITTED = {
    "before", "process", "process again", "pool 0", "pool 1", "pool 2", "exits", "flushes", "last",
    *(f"parent {when} {name}" for when in ("before", "after") for name in ("exits", "flushes")),
}  # fmt: skip


@pytest.mark.slow
def test_a_forked_child_sends_its_own_events_and_only_those(tmp_path: Path) -> None:
    done = run(tmp_path, FORKS, flush_at_exit_s=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert arrived(tmp_path) == dict.fromkeys(EMITTED, 1)
    assert len(left_in(tmp_path)) == 1  # of the child that ran no handler at its end
    assert rows_left(tmp_path) == 0


def rows_left(folder: Path) -> int:
    """How many events are in the spools of a folder."""
    total = 0
    for path in left_in(folder):
        with closing(sqlite3.connect(path)) as db:
            total += db.execute("select count(*) from events").fetchone()[0]
    return total


CHILD_OF_A_SENDER = """
emit("parent")
assert emitter.flush(60) is {flushes}
if (pid := os.fork()) == 0:
    emit("child")
    sys.exit(0)
_, status = os.waitpid(pid, 0)
assert status == 0, status
"""


@pytest.mark.slow
@pytest.mark.parametrize("emits", [True, False], ids=["that emits", "that does not"])
def test_the_child_of_a_producer_ends_also_while_the_broker_is_away(tmp_path: Path, *, emits: bool) -> None:
    body = CHILD_OF_A_SENDER.format(flushes=False).replace("flush(60)", "flush(1)")
    done = run(tmp_path, body if emits else body.replace('emit("child")', "pass"), AWAY, flush_at_exit_s=0.5)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(left_in(tmp_path)) == 1 + emits


OS_EXIT = """
emit("a"); emit("b")
while emitter.stats().in_memory:
    time.sleep(0.01)
os._exit(0)
"""


def test_what_reached_the_spool_survives_os_exit(tmp_path: Path) -> None:
    block(tmp_path)
    assert run(tmp_path, OS_EXIT, "FileTransport(folder / 'blocked')").returncode == 0
    assert arrived(tmp_path / "blocked") == {}
    unblock(tmp_path)
    after = 'emit("c")\nwhile emitter.stats().acknowledged < 3: time.sleep(0.01)'
    done = run(tmp_path, after, "FileTransport(folder / 'blocked')", flush_at_exit_s=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert arrived(tmp_path / "blocked") == {"a": 1, "b": 1, "c": 1}
    assert left_in(tmp_path) == []


def block(folder: Path) -> None:
    """A file where the transport wants its folder: it can write nothing."""
    (folder / "blocked").write_text("")


def unblock(folder: Path) -> None:
    (folder / "blocked").unlink()


DURABLE = """
for number in range(10_000):
    emit(str(number), durable=True)
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


@pytest.mark.slow
def test_durable_calls_survive_kill_9(tmp_path: Path) -> None:
    block(tmp_path)
    source = program(tmp_path, DURABLE, "FileTransport(folder / 'blocked')")
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(300)]
        process.send_signal(signal.SIGKILL)
        seen += [int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    unblock(tmp_path)
    after = f'emit("last")\nwhile emitter.stats().acknowledged < {len(seen) + 1}: time.sleep(0.01)'
    assert run(tmp_path, after, "FileTransport(folder / 'blocked')", flush_at_exit_s=60).returncode == 0
    found = arrived(tmp_path / "blocked")
    assert set(found) >= {*map(str, seen), "last"}
    assert len(found) <= len(seen) + 2  # one may have been stored that was not yet printed
    assert set(found.values()) == {1}


@pytest.mark.parametrize("body", ['emit("a")', 'emit("a"); emit("b"); raise SystemExit(0)'])
def test_a_script_of_three_lines_sends_before_it_ends_and_says_nothing(tmp_path: Path, body: str) -> None:
    done = run(tmp_path, body, flush_at_exit_s=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert arrived(tmp_path) == dict.fromkeys("ab" if "b" in body else "a", 1)


NO_THREAD = """
import threading
def refuse(thread):
    raise RuntimeError("can't start new thread")
threading.Thread.start = refuse
emit("a")
"""


def test_where_no_thread_ever_started_the_end_of_the_process_sends(tmp_path: Path) -> None:
    done = run(tmp_path, NO_THREAD, flush_at_exit_s=60)
    assert done.returncode == 0
    assert "no thread can be started" in done.stderr
    assert arrived(tmp_path) == {"a": 1}


AT_EXIT = """
import atexit
late = Emitter(FileTransport(folder / "late"), spool=folder / "spool")
atexit.register(lambda: late.emit("calls", "late", lambda: {"call_id": "late", "occurred_at": "2026-03-01T12:00:00Z",
                                                          "task_type": "t", "model": "m"}))
"""


def test_an_event_of_an_exit_handler_arrives(tmp_path: Path) -> None:
    """From Python 3.12 on, no thread can be started in one."""
    done = run(tmp_path, AT_EXIT, flush_at_exit_s=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert arrived(tmp_path / "late") == {"late": 1}


HANGS = """
class Hangs(FileTransport):
    def offer(self, messages):
        time.sleep(3600)
emitter = Emitter(Hangs(folder), spool=folder / "spool", flush_at_exit_s=0.3)
emit("a")
"""


def test_a_transport_that_hangs_does_not_hold_up_the_end_and_its_events_stay_in_the_spool(tmp_path: Path) -> None:
    done = run(tmp_path, HANGS)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(left_in(tmp_path)) == 1
    after = 'emit("b")\nwhile emitter.stats().acknowledged < 2: time.sleep(0.01)'
    run(tmp_path, after, flush_at_exit_s=60)
    assert arrived(tmp_path) == {"a": 1, "b": 1}


@pytest.mark.parametrize("bound", [0.0, 0.3])
def test_an_unreachable_broker_does_not_hold_up_the_end_and_nothing_is_lost(tmp_path: Path, bound: float) -> None:
    """Also where the sender thread is still amid its imports then."""
    done = run(tmp_path, 'emit("a")', AWAY, flush_at_exit_s=bound)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows_left(tmp_path) == 1


MEMORY = """
import resource
def resident():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def many(first, last):
    for number in range(first, last):
        emit(str(number))
        if number % 500 == 0:
            time.sleep(0.01)
many(0, 20_000)
emitter.flush(1)
before = resident()
many(20_000, 120_000)
stats = emitter.stats()
assert stats.balanced and stats.acknowledged == 0, stats
print(resident() - before)
os._exit(0)
"""


@pytest.mark.slow
def test_memory_stays_as_it_is_while_the_broker_is_away(tmp_path: Path) -> None:
    """With six times as many events: what grows is the file. `make bench-sdk` does it with a million."""
    done = run(tmp_path, MEMORY, AWAY)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) < 40 * 1024  # KiB: the queue may have been emptier before


AMID_IMPORTS = """
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("pydantic"):
            time.sleep(0.02)
sys.meta_path.insert(0, Slow())
emit("parent")
time.sleep({after})
if (pid := os.fork()) == 0:
    emit("child")
    os._exit(0 if emitter.flush(60) else 3)
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.1, 0.5, 1.5])
def test_a_child_that_is_forked_amid_the_imports_of_the_sender_loses_nothing(tmp_path: Path, after: float) -> None:
    done = run(tmp_path, AMID_IMPORTS.format(after=after), flush_at_exit_s=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert arrived(tmp_path) == {"parent": 1, "child": 1}


@pytest.mark.slow
def test_a_fork_waits_for_what_the_sender_does_with_sqlite_or_imports(tmp_path: Path) -> None:
    """Else the child is born with a lock that no thread there releases."""
    body = """
for number in range(30):
    emit(str(number))
    if (pid := os.fork()) == 0:
        emit(f"child {number}")
        assert emitter.flush(60)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
"""
    done = run(tmp_path, body, flush_at_exit_s=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert arrived(tmp_path) == {f"{who}{number}": 1 for number in range(30) for who in ("", "child ")}
