"""What came of faults stands in the file of runs beside the results, and is no obstacle to any who reads only these."""

from __future__ import annotations

from pathlib import Path

from aftercall.evals.results import CaseResult
from connectors.suites.fault_rows import FaultRows, FaultRunsFile, StoredReaction, StoredSurvival
from connectors.suites.runs_file import RunsFile
from connectors.suites.runs_tables import StoredRun

RESULT = CaseResult(case_id="c1", input_hash="h", score=1.0)
REACTION = StoredReaction("c1", 0, 0, "empty", "search", "guessed", "the answer fails its checks")
SURVIVAL = StoredSurvival("c1", 0, 0, "refund", "empty", survived=0, reason="it guessed")


def rows_of(result: CaseResult) -> FaultRows:
    return FaultRows((REACTION,), (SURVIVAL,), frozenset({"search", "crm"}))


def begun(file: RunsFile, started_at: int, agent: str = "m:f") -> str:
    run = StoredRun("", "cases.jsonl", "d", agent, "p", 1, 1, recorded=False, started_at=started_at)
    return file.begin(run).run_id


def test_what_is_stored_is_read_back(tmp_path: Path) -> None:
    with FaultRunsFile(tmp_path / "runs.sqlite", rows_of=rows_of) as file:
        first, second = begun(file, 1_000_000), begun(file, 2_000_000, "m:g")
        file.add(first, [RESULT])
        file.add(second, [RESULT])
        assert file.reactions(first) == [REACTION]
        assert file.tools_seen(first) == {"search", "crm"}
        assert [(one.run_id, one.agent) for one in file.survivals("refund")] == [(second, "m:g"), (first, "m:f")]
        assert file.survivals("other") == []
        assert [one.case_id for one in file.results(first)] == ["c1"]


def test_a_result_that_is_stored_twice_has_its_rows_once(tmp_path: Path) -> None:
    """A run that was killed between the two asks the case again."""
    with FaultRunsFile(tmp_path / "runs.sqlite", rows_of=rows_of) as file:
        run = begun(file, 1_000_000)
        file._add_rows(run, [rows_of(RESULT)])
        file.add(run, [RESULT])
        assert file.reactions(run) == [REACTION]
        assert len(file.survivals("refund")) == 1


def test_a_file_of_runs_without_such_rows_gets_room_for_them_and_is_still_one(tmp_path: Path) -> None:
    path = tmp_path / "runs.sqlite"
    with RunsFile(path) as plain:
        run = begun(plain, 1_000_000)
        plain.add(run, [RESULT])
    with FaultRunsFile(path) as file:
        assert file.reactions(run) == []
    with RunsFile(path) as plain:
        assert [one.case_id for one in plain.results(run)] == ["c1"]
