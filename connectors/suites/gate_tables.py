"""Keeps what gates and golden sets know beside the runs, in tables of their own of the file of runs.

`regressed` has the rows that a gate found broken in a recorded run: their failures there are no history, unless a
person accepted them, which leaves all runs before out. `golden_nights` has one row for each night of a golden set, so
that no night is run twice.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from connectors.suites.runs_file import RunsError

_BUSY_S: Final = 60.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS regressed (
    run_id TEXT NOT NULL,
    case_id TEXT NOT NULL,
    accepted INTEGER NOT NULL,
    PRIMARY KEY (run_id, case_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS golden_nights (
    name TEXT NOT NULL,
    night TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    run_id TEXT,
    exit_code INTEGER,
    alert TEXT,
    PRIMARY KEY (name, night)
) WITHOUT ROWID;
"""


class Night(NamedTuple):
    """One night of a golden set.

    Attributes:
        night: the date on the clocks of its time zone, such as `2026-11-30`.
        begun_at: microseconds since 1970 UTC.
        run_id: None until the run has ended.
        exit_code: as `aftercall golden run` ended; None until then.
        alert: the newest record of the alert that is open after it, as JSON; None where none is.
    """

    name: str
    night: str
    begun_at: int
    run_id: str | None = None
    exit_code: int | None = None
    alert: str | None = None


class GateTables:
    """Both tables. The file of runs must have been opened before, which checks its version."""

    def __init__(self, path: Path) -> None:
        """Open them, and make them where there are none.

        Raises:
            RunsError: the file cannot be written.
        """
        self._path = path
        with self._failing():
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            for statement in _SCHEMA.strip().split(";\n"):
                self._db.execute(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def flag(self, run_id: str, case_ids: Iterable[str], *, accepted: bool = False) -> None:
        """Note that these rows had regressed in this run, or that a person accepted them as they were in it."""
        rows = [(run_id, one, accepted) for one in case_ids]
        with self._failing():
            self._db.executemany("INSERT OR REPLACE INTO regressed VALUES (?, ?, ?)", rows)

    def flagged(self, run_id: str, *, accepted: bool = False) -> frozenset[str]:
        """The rows that had regressed in this run, or were accepted in it."""
        asked = "SELECT case_id FROM regressed WHERE run_id = ? AND accepted = ?"
        with self._failing():
            return frozenset(row[0] for row in self._db.execute(asked, (run_id, accepted)))

    def begin_night(self, night: Night) -> bool:
        """Take a night; False where it was taken before."""
        with self._failing():
            taken = self._db.execute("INSERT OR IGNORE INTO golden_nights VALUES (?, ?, ?, ?, ?, ?)", night)
            return taken.rowcount == 1

    def end_night(self, night: Night) -> None:
        """Store how a night ended."""
        with self._failing():
            self._db.execute(
                "UPDATE golden_nights SET run_id = ?, exit_code = ?, alert = ? WHERE name = ? AND night = ?",
                (night.run_id, night.exit_code, night.alert, night.name, night.night),
            )

    def nights(self, name: str) -> list[Night]:
        """All nights of a golden set, the oldest first."""
        with self._failing():
            rows = self._db.execute("SELECT * FROM golden_nights WHERE name = ? ORDER BY night", (name,))
            return [Night(*row) for row in rows]

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as wrong:
            raise RunsError(
                f"{self._path}: the file of runs must be readable and writable; {wrong} (check the path and the space "
                "on its disk; the same command resumes)"
            ) from None
