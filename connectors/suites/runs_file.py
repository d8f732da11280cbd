"""Keeps runs of suites in one SQLite file: what was asked is not asked again, and later runs are held against it.

A row is written when its case has ended, so that a killed run loses at most what was being asked. The journal is a
write-ahead log: a commit costs tens of microseconds, and several processes may write at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import astuple, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from aftercall.errors import StateError, UserError
from aftercall.evals.results import CaseResult
from connectors.own_files import open_own
from connectors.suites.runs_tables import RUNS_VERSION, SCHEMA, StoredRun, result_of, row_of, stored_run

_BUSY_S: Final = 60.0
_RUN: Final = "run_id, dataset, dataset_hash, agent, plan_hash, repeats, cases, recorded, started_at, ended_at, label"
_ROW: Final = "case_id, input_hash, repeat, attempt, score, passed, error, latency_ms, cost, tags, checks, output"
_NS_PER_US: Final = 1000


class RunsError(UserError):
    """The file of runs cannot be read or written."""


class RunsFile:
    """The file of runs. One object may be used from several threads."""

    def __init__(self, path: Path, *, texts: bool = False) -> None:
        """Open the file, and make it where there is none.

        Args:
            path: such as `.aftercall/runs.sqlite`; its folder is made too.
            texts: whether answers are kept.

        Raises:
            RunsError: it is no such file, or cannot be written.
            StateError: a newer version of aftercall wrote it.
        """
        self.path: Final = path
        self._texts = texts
        self._lock = threading.Lock()
        self._claims: dict[str, int] = {}
        with self._failing():
            path.parent.mkdir(parents=True, exist_ok=True)
            open_own(path, "ab").close()  # never through a link
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; runs that have not ended may be resumed from then on."""
        self._db.close()
        for handle in self._claims.values():
            os.close(handle)
        self._claims.clear()

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version > RUNS_VERSION:
                raise StateError.of_version(str(self.path), RUNS_VERSION, version)
            if version == 0 and not self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in SCHEMA.strip().split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {RUNS_VERSION}")
            elif version == 0:
                raise RunsError(f"{self.path}: must be a file of runs; it is another database (name another --runs)")

    # --- runs ---

    def begin(self, run: StoredRun) -> StoredRun:
        """Store a run, under an id of its own if it has none, and claim it."""
        named = replace(run, run_id=run.run_id or _new_id(run.started_at))
        with self._failing(), self._transaction():
            self._claim(named.run_id)
            self._db.execute(f"INSERT INTO runs ({_RUN}) VALUES ({','.join('?' * 11)})", astuple(named))
        return named

    def resumable(self, plan_hash: str, since: int, *, recorded: bool) -> StoredRun | None:
        """The newest run of this plan that was interrupted, now claimed by this object; None where there is none.

        Args:
            plan_hash: as in `StoredRun`.
            since: runs that began before are left alone; microseconds since 1970 UTC.
            recorded: as in `StoredRun`.
        """
        where = "plan_hash = ? AND ended_at IS NULL AND started_at >= ? AND recorded = ?"
        found = self.runs(where, plan_hash, since, recorded)
        return next((run for run in reversed(found) if self._claim_interrupted(run)), None)

    def end(self, run_id: str) -> None:
        """Note that a run has ended, and let its claim go."""
        with self._failing(), self._transaction():
            self._db.execute("UPDATE runs SET ended_at = ? WHERE run_id = ?", (time.time_ns() // _NS_PER_US, run_id))
        self._unclaim(run_id)

    def runs(self, where: str = "1", *values: Any) -> list[StoredRun]:
        """Runs by the time at which they began; `where` is SQL over their fields."""
        with self._failing(), self._lock:
            rows = self._db.execute(f"SELECT {_RUN} FROM runs WHERE {where} ORDER BY started_at, run_id", values)
            return [stored_run(row) for row in rows]

    # --- rows ---

    def add(self, run_id: str, results: Iterable[CaseResult]) -> None:
        """Store results; one that is there already stays as it is."""
        rows = [row_of(run_id, one, texts=self._texts) for one in results]
        with self._failing(), self._transaction():
            self._db.executemany(f"INSERT OR IGNORE INTO rows (run_id, {_ROW}) VALUES ({','.join('?' * 13)})", rows)

    def results(self, run_id: str) -> list[CaseResult]:
        """What came of a run so far, by case, repeat and attempt."""
        with self._failing(), self._lock:
            rows = self._db.execute(
                f"SELECT {_ROW} FROM rows WHERE run_id = ? ORDER BY case_id, repeat, attempt", (run_id,)
            )
            return [result_of(row) for row in rows]

    # --- claims: an open file with a lock, which the system lets go whatever ends the process ---

    def _claim(self, run_id: str) -> bool:
        handle = os.open(self._claim_path(run_id), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._claims[run_id] = handle
        return True

    def _claim_interrupted(self, run: StoredRun) -> bool:
        """Whether it is claimed now, and has not ended since it was looked up."""
        if not self._claim(run.run_id):
            return False
        if self.runs("run_id = ? AND ended_at IS NULL", run.run_id):
            return True
        self._unclaim(run.run_id)
        return False

    def _unclaim(self, run_id: str) -> None:
        handle = self._claims.pop(run_id, None)
        if handle is not None:
            self._claim_path(run_id).unlink(missing_ok=True)
            os.close(handle)

    def _claim_path(self, run_id: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{run_id}.lock")

    # --- SQLite ---

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as wrong:
            raise RunsError(
                f"{self.path}: the file of runs must be readable and writable; {wrong} (check the path and the space on"
                " its disk; the same command resumes)"
            ) from None
        except OSError as wrong:
            raise RunsError(
                f"{self.path}: the file of runs cannot be opened: {wrong.strerror} (name another --runs)"
            ) from None


def _new_id(started_at: int) -> str:
    """Of the time, so that ids sort like runs, and of chance: `20261130-213400-3f9a`."""
    seconds = time.gmtime(started_at / 1e6)
    return f"{time.strftime('%Y%m%d-%H%M%S', seconds)}-{uuid.uuid4().hex[:4]}"
