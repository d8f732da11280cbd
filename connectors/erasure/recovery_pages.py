"""Removes old state from the free pages of Bytewax's recovery store.

Bytewax deletes the rows of older epochs, but SQLite leaves their bytes in free pages, and in the write-ahead log, until
new rows happen to overwrite them. `VACUUM` rewrites the file without them.

Never do this in a process that runs a dataflow: Bytewax links its own SQLite, the two do not see each other's locks
within one process, and closing ours would delete the log that the other one is writing to (tried: every epoch after
that was lost). Between processes the locks hold; but Bytewax waits for a lock for 5 s and then ends the pipeline
(tried), so a large store is not rewritten while a pipeline uses it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

MOST_LIVE_BYTES: Final = 64 * 1024 * 1024
"""A slow disk rewrites this much within about a second."""
_WAIT_S: Final = 1.0
_OUTLIVED: Final = """
SELECT count(*) FROM snaps AS old WHERE EXISTS (
    SELECT 1 FROM snaps AS new, commits
    WHERE new.step_id = old.step_id AND new.state_key = old.state_key
    AND new.snap_epoch > old.snap_epoch AND new.snap_epoch <= commits.commit_epoch
)
"""
"""Counts the rows that Bytewax is about to delete."""


def scrub(recovery: Path, *, in_use: bool) -> bool:
    """Rewrite the recovery store, so that it holds live rows only.

    Args:
        recovery: its folder.
        in_use: whether another process runs a dataflow on it; this process must run none.

    Returns:
        Whether all of it was rewritten. False: the store is busy at the moment, holds rows that Bytewax is about to
        delete, or is too large to be rewritten while it is in use.
    """
    return all(_scrub(path, in_use=in_use) for path in sorted(recovery.glob("part-*.sqlite3")))


def too_large(recovery: Path) -> bool:
    """Whether the store is too large to be rewritten while it is in use."""
    return any(_live_bytes(path) > MOST_LIVE_BYTES for path in recovery.glob("part-*.sqlite3"))


def _scrub(path: Path, *, in_use: bool) -> bool:
    if in_use and _live_bytes(path) > MOST_LIVE_BYTES:
        return False
    try:
        with closing(_open(path)) as store:
            if in_use and store.execute(_OUTLIVED).fetchone()[0]:
                return False
            store.execute("VACUUM")
            (busy, *_) = store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
    except sqlite3.OperationalError:
        return False


def _live_bytes(path: Path) -> int:
    try:
        with closing(_open(path)) as store:
            sizes = [store.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count")]
            return int((sizes[0] - sizes[1]) * store.execute("PRAGMA page_size").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_WAIT_S, isolation_level=None)
