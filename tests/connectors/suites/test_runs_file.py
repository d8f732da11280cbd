"""The file of runs: what was written is there, whatever ended the process."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from aftercall.errors import ExitCode, StateError
from aftercall.evals.answer import Answer
from aftercall.evals.results import CaseResult, Scored
from connectors.suites.runs_file import RunsError, RunsFile
from connectors.suites.runs_tables import StoredRun

RUN = StoredRun("", "cases.jsonl", "d" * 32, "shop:answer", "p" * 32, 1, 2, recorded=True, started_at=1_000_000)
CHECKS = (Scored("exact", 0.0, "is not the expected text"), Scored("c.r", None, "x", error=True, counts=False))
FAILED = CaseResult("a", "h", 0.0, None, 12.5, 0.01, ("t", "ü"), CHECKS, answer=Answer("secret"))


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    with RunsFile(tmp_path / "runs" / "r.sqlite", texts=True) as file:
        run = file.begin(RUN)
        unscored = CaseResult("a", "h", None, "why", repeat=1, attempt=2)
        file.add(run.run_id, [FAILED, unscored])
        assert file.results(run.run_id) == [FAILED, unscored]
        assert file.runs() == [run]


def test_texts_are_only_in_the_file_where_they_are_kept(tmp_path: Path) -> None:
    with RunsFile(tmp_path / "r.sqlite") as file:
        run = file.begin(RUN)
        file.add(run.run_id, [FAILED])
        assert file.results(run.run_id) == [replace(FAILED, answer=None)]
    assert b"secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_row_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    with RunsFile(tmp_path / "r.sqlite") as file:
        run = file.begin(RUN)
        file.add(run.run_id, [FAILED])
        file.add(run.run_id, [replace(FAILED, score=1.0)])
        assert [one.score for one in file.results(run.run_id)] == [0.0]


def found_by_another(path: Path) -> StoredRun | None:
    with RunsFile(path) as file:
        return file.resumable(RUN.plan_hash, 0, recorded=True)


def test_a_run_that_was_interrupted_is_resumed_once_and_one_that_ended_never(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with RunsFile(path) as file:
        run = file.begin(RUN)
        assert found_by_another(path) is None, "it is under way"
    with RunsFile(path) as file:
        assert file.resumable("another", 0, recorded=True) is None
        assert file.resumable(RUN.plan_hash, 0, recorded=False) is None
        assert file.resumable(RUN.plan_hash, RUN.started_at + 1, recorded=True) is None
        assert file.resumable(RUN.plan_hash, 0, recorded=True) == run
        assert found_by_another(path) is None, "it is resumed elsewhere"
        file.end(run.run_id)
    with RunsFile(path) as file:
        assert file.resumable(RUN.plan_hash, 0, recorded=True) is None
        assert [one.ended_at is not None for one in file.runs()] == [True]
    assert [one.name for one in tmp_path.iterdir()] == ["r.sqlite"]


def test_two_processes_write_into_one_file(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with RunsFile(path) as one, RunsFile(path) as other:
        runs = [file.begin(RUN) for file in (one, other)]
        for at in range(20):
            for file, run in zip((one, other), runs, strict=True):
                file.add(run.run_id, [replace(FAILED, case_id=str(at))])
        assert [len(one.results(run.run_id)) for run in runs] == [20, 20]
    assert runs[0].run_id != runs[1].run_id


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    RunsFile(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StateError, match="must have version 1; got 99") as refused:
        RunsFile(path)
    assert refused.value.exit_code is ExitCode.FAILED


def test_another_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mine.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    with pytest.raises(RunsError, match="must be a file of runs; it is another database"):
        RunsFile(path)
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    database.close()


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 10, b"SQLite format 3\0" * 40])
def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.sqlite"
    path.write_bytes(content)
    with pytest.raises(RunsError, match=r"must be readable and writable; .* \(check the path"):
        RunsFile(path)
    assert path.read_bytes() == content


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "r.sqlite").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunsError, match="cannot be opened"):
        RunsFile(tmp_path / "r.sqlite")
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_is_one_sentence_and_keeps_what_was_stored(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    with RunsFile(path) as file:
        run = file.begin(RUN)
        file.add(run.run_id, [FAILED])
        file._db.execute(f"PRAGMA max_page_count = {file._db.execute('PRAGMA page_count').fetchone()[0]}")
        with pytest.raises(RunsError, match=r"database or disk is full .*the same command resumes"):
            file.add(run.run_id, [replace(FAILED, case_id="b" * 250, error="e" * 20_000)])
    with RunsFile(path) as file:
        assert len(file.results(run.run_id)) == 1
        assert file.resumable(RUN.plan_hash, 0, recorded=True) == run


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunsError, match="the file of runs cannot be opened"):
        RunsFile(tmp_path / "file" / "r.sqlite")


def test_claims_are_let_go_by_the_end_of_a_process(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    child = os.fork()
    if not child:
        RunsFile(path).begin(RUN)
        os._exit(0)
    os.waitpid(child, 0)
    with RunsFile(path) as file:
        assert file.resumable(RUN.plan_hash, 0, recorded=True) is not None
