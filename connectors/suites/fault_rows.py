"""Keeps in the file of runs what an agent did about tools that were broken, beside the results of its cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any, Final

from aftercall.evals.results import CaseResult
from connectors.suites.runs_file import RunsFile

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS reactions (
    run_id TEXT NOT NULL,
    case_id TEXT NOT NULL,
    repeat INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    fault TEXT NOT NULL,
    tool TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (run_id, case_id, repeat, attempt, fault, tool)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS survivals (
    run_id TEXT NOT NULL,
    case_id TEXT NOT NULL,
    repeat INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    contract TEXT NOT NULL,
    failure TEXT NOT NULL,
    survived INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (run_id, case_id, repeat, attempt, contract, failure, survived)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tools_seen (
    run_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    PRIMARY KEY (run_id, tool)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class StoredReaction:
    """What an agent did about one fault of one tool in one answer."""

    case_id: str
    repeat: int
    attempt: int
    fault: str
    tool: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class StoredSurvival:
    """Whether an agent survived one of the nine failures in one answer, by one contract."""

    case_id: str
    repeat: int
    attempt: int
    contract: str
    failure: str
    survived: int
    """1 or 0."""
    reason: str
    run_id: str = ""
    agent: str = ""
    """Who was asked; both are of the run, and are only given where rows are read."""


@dataclass(frozen=True)
class FaultRows:
    """What is stored with one result."""

    reactions: tuple[StoredReaction, ...] = ()
    survivals: tuple[StoredSurvival, ...] = ()
    tools: frozenset[str] = frozenset()
    """All that were called."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """The answer as a wire record, which is handed on and not stored."""


HandOn = Callable[[str, CaseResult, FaultRows], None]
"""Gets the run's id, and what was stored."""


class FaultRunsFile(RunsFile):
    """The file of runs, in which each result has what came of its faults beside it."""

    def __init__(
        self,
        path: Path,
        *,
        texts: bool = False,
        rows_of: Callable[[CaseResult], FaultRows] | None = None,
        then: HandOn | None = None,
    ) -> None:
        """Open the file, as `RunsFile`.

        Args:
            path: of the file.
            texts: whether answers are kept.
            rows_of: gives what is stored with a result, once; None where nothing is to be stored.
            then: called after each result was stored.

        Raises:
            RunsError: it is no such file, or cannot be written.
            StateError: a newer version of aftercall wrote it.
        """
        super().__init__(path, texts=texts)
        self._rows_of, self._then = rows_of, then
        with self._failing(), self._transaction():
            for statement in _SCHEMA.strip().split(";\n"):
                self._db.execute(statement)

    def add(self, run_id: str, results: Iterable[CaseResult]) -> None:
        """As `RunsFile.add`, with what came of the faults; a row that is there already stays as it is."""
        stored = list(results)
        rows = [FaultRows() if self._rows_of is None else self._rows_of(result) for result in stored]
        self._add_rows(run_id, rows)
        super().add(run_id, stored)  # last: a result that is there is not asked for again
        for result, row in zip(stored, rows, strict=True):
            if self._then is not None:
                self._then(run_id, result, row)

    def _add_rows(self, run_id: str, rows: list[FaultRows]) -> None:
        reactions = [(run_id, *astuple(one)) for row in rows for one in row.reactions]
        survivals = [(run_id, *astuple(one)[:-2]) for row in rows for one in row.survivals]
        tools = [(run_id, tool) for row in rows for tool in sorted(row.tools)]
        if reactions or survivals or tools:
            with self._failing(), self._transaction():
                self._db.executemany("INSERT OR REPLACE INTO reactions VALUES (?,?,?,?,?,?,?,?)", reactions)
                self._db.executemany("INSERT OR REPLACE INTO survivals VALUES (?,?,?,?,?,?,?,?)", survivals)
                self._db.executemany("INSERT OR IGNORE INTO tools_seen VALUES (?,?)", tools)

    def reactions(self, run_id: str) -> list[StoredReaction]:
        """Of a run, by case and fault."""
        with self._failing(), self._lock:
            rows = self._db.execute(
                "SELECT case_id, repeat, attempt, fault, tool, outcome, reason FROM reactions WHERE run_id = ?"
                " ORDER BY fault, tool, case_id, repeat, attempt",
                (run_id,),
            )
            return [StoredReaction(*row) for row in rows]

    def survivals(self, contract: str) -> list[StoredSurvival]:
        """Of all runs judged by versions of a contract, the newest run first."""
        with self._failing(), self._lock:
            rows = self._db.execute(
                "SELECT case_id, repeat, attempt, contract, failure, survived, reason, run_id, agent FROM survivals"
                " JOIN runs USING (run_id) WHERE contract = ?"
                " ORDER BY started_at DESC, run_id, case_id, repeat, attempt",
                (contract,),
            )
            return [StoredSurvival(*row) for row in rows]

    def tools_seen(self, run_id: str) -> set[str]:
        """All tools that were called in a run."""
        with self._failing(), self._lock:
            return {tool for (tool,) in self._db.execute("SELECT tool FROM tools_seen WHERE run_id = ?", (run_id,))}
