"""The snapshot store and other processes: readers, a kill, a second pipeline, an older DuckDB."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from connectors.snapshot.store import SnapshotStore
from harness.other_duckdb import installed
from harness.snapshot_rows import AT, call, published, query
from harness.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[3]
READER = """
import sys, duckdb
folder, seen, reads = sys.argv[1], 0, 0
print("ready", flush=True)
while seen < int(sys.argv[2]):
    with duckdb.connect(folder + "/outcomes.duckdb", read_only=True) as c:
        sql = "SELECT version, calls, (SELECT count(*) FROM calls) FROM pipeline"
        version, calls, counted = c.execute(sql).fetchall()[0]
    assert calls == counted == version * 500, (version, calls, counted)
    assert version >= seen, (version, seen)
    seen, reads = version, reads + 1
print(reads)
"""


@pytest.mark.slow
def test_readers_in_other_processes_never_see_half_a_snapshot(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    last = 12

    def step(version: int) -> None:
        store.append_calls([call(version * 500 + i) for i in range(500)])
        store.commit(version)
        published(store, calls=version * 500)

    step(1)
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, str(tmp_path), str(last)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    for version in range(2, last + 1):
        step(version)
    for reader in readers:
        out, _ = reader.communicate(timeout=HANG_S)
        assert reader.returncode == 0
        assert int(out) >= 1


WRITER = """
import sys
from pathlib import Path
from connectors.snapshot.store import SnapshotStore
store = SnapshotStore(Path(sys.argv[1]))
row = ("support", "gpt", "v1", None, None, 1.0, 1.0, 1, None, None)
n = 0
while True:
    cut = store.cut + 1
    store.append_calls([(f"c{cut}-{i}", 1_760_000_000_000_000 + i, *row) for i in range(5000)])
    store.commit(cut)
    n += 5000
    print("commit", cut, flush=True)
    store.publish({"calls": n}, {"calls": []}, {"calls": []})
    print("published", cut, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.03, 0.06])
def test_a_kill_in_the_middle_of_publication_leaves_the_old_snapshot_and_all_commits(
    tmp_path: Path, delay_s: float
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "sdk")])}
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert writer.stdout is not None
    while writer.stdout.readline() != "commit 3\n":
        assert writer.poll() is None
    time.sleep(delay_s)
    writer.send_signal(signal.SIGKILL)
    rest = writer.communicate()[0].split("\n")
    done = max([2, *(int(line.split()[1]) for line in rest if line.startswith("published"))])
    version, calls, counted = query(tmp_path, "SELECT version, calls, (SELECT count(*) FROM calls) FROM pipeline")[0]
    # One more may have been linked before its line was printed.
    assert version in (done, done + 1)
    assert calls == counted == version * 5000
    store = SnapshotStore(tmp_path)
    assert store.cut >= 3
    assert not list(tmp_path.rglob(".publishing-*"))
    store.resume(3)
    assert published(store).parent.name == str(version + 1)
    assert query(tmp_path, "SELECT count(*) FROM calls") == [(15_000,)]


def test_a_second_pipeline_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    store = SnapshotStore(tmp_path)
    store.commit(1)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "sdk")])}
    code = (
        "import sys; from pathlib import Path; from connectors.snapshot.store import SnapshotStore;"
        "SnapshotStore(Path(sys.argv[1]))"
    )
    second = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert second.returncode == 1
    assert "SnapshotError: snapshot" in second.stderr
    assert "stop the other pipeline" in second.stderr


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.0.0", "1.4.3"])
def test_the_snapshot_opens_in_duckdb_1(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, version: str) -> None:
    other = installed(version, tmp_path_factory.getbasetemp().parent)
    store = SnapshotStore(tmp_path)
    store.append_calls([call(i) for i in range(1000)])
    store.append_verdicts([(f"c{i}", AT + i, "success", None, "x", AT + i, 1, 0) for i in range(500)])
    store.commit(1)
    published(store, calls=1000)
    code = (
        "import sys, duckdb; c = duckdb.connect(sys.argv[1], read_only=True);"
        "print(duckdb.__version__, c.execute('SELECT count(*), count(verdict_at) FROM calls').fetchall(),"
        " *[len(c.execute('FROM ' + t).fetchall()) for (t,) in c.execute('SHOW TABLES').fetchall()])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "outcomes.duckdb")],
        env={**os.environ, "PYTHONPATH": str(other)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout == f"{version} [(1000, 500)] 0 1000 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 0 0 0 0\n"
