"""The recovery store holds nothing of rows that were deleted."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from connectors.erasure.recovery_pages import scrub

MARK = b"gone-id"


def test_free_pages_of_the_recovery_store_are_cleaned_unless_it_is_busy(tmp_path: Path) -> None:
    """From another process than the dataflow's: see `connectors.erasure.recovery_pages`."""
    path = tmp_path / "part-0.sqlite3"
    store = sqlite3.connect(path, isolation_level=None)
    store.execute("PRAGMA journal_mode = WAL")
    store.execute("CREATE TABLE snaps (step_id, state_key, snap_epoch, ser_change)")
    store.execute("CREATE TABLE commits (commit_epoch)")
    store.execute("INSERT INTO snaps VALUES ('join', 's0', 1, ?), ('join', 's0', 2, 'x')", [MARK * 1000])
    store.execute("INSERT INTO commits VALUES (2)")
    assert not _scrubbed(tmp_path), "the row of epoch 1 is still to be deleted"
    store.execute("DELETE FROM snaps WHERE snap_epoch = 1")
    # In a process of its own: opening and closing the file here would let go of the locks that we hold.
    assert subprocess.run(["grep", "-rq", MARK, tmp_path], check=False).returncode == 0
    store.execute("BEGIN IMMEDIATE")
    assert not _scrubbed(tmp_path), "another process is writing"
    store.execute("ROLLBACK")
    assert _scrubbed(tmp_path)
    assert subprocess.run(["grep", "-rq", MARK, tmp_path], check=False).returncode == 1
    store.close()
    assert scrub(tmp_path, in_use=False)


def _scrubbed(folder: Path) -> bool:
    script = "import sys, pathlib; from connectors.erasure.recovery_pages import scrub\n"
    script += "sys.exit(not scrub(pathlib.Path(sys.argv[1]), in_use=True))"
    root = Path(__file__).parents[3]
    return subprocess.run([sys.executable, "-c", script, str(folder)], check=False, cwd=root).returncode == 0
