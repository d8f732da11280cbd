"""`aftercall eval run --baseline` as a user types it: who is blocked, what is asked again, and by which history."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from harness.suite_commands import SuiteCommands

BROKEN = ["c3", "c4", "c5"]


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> SuiteCommands:
    return SuiteCommands(tmp_path, monkeypatch, capfd)


def test_without_any_recorded_run_there_is_not_enough_evidence(suite: SuiteCommands) -> None:
    assert suite.eval("run").code == 0
    ended = suite.eval("run", "--baseline", "last")
    assert ended.code == 4
    assert "No run of cases.jsonl was recorded before (run the main branch with --record)." in ended.out


def test_with_fewer_than_four_runs_the_plain_rule_judges_and_says_so(suite: SuiteCommands) -> None:
    suite.record(3)
    suite.plan(wrong=BROKEN)
    ended = suite.eval("run", "--baseline", "last")
    assert ended.code == 3
    assert "3 recorded runs so far, and the rule of rows needs 4" in ended.out
    assert "  c3  passed 1 of 1 before, 0 of 1 now\n" in ended.out
    assert [suite.asked(case) for case in BROKEN] == [1, 1, 1]


def test_three_broken_rows_block_and_are_named_and_two_do_not(suite: SuiteCommands) -> None:
    suite.record(4)
    suite.plan(wrong=BROKEN)
    blocked = suite.eval("run", "--baseline", "last")
    assert blocked.code == 3
    assert "3 rows have regressed, and 2 may (--max-regressed)." in blocked.out
    assert [line.split()[0] for line in blocked.out.split("Regressed:\n")[1].splitlines()[:3]] == BROKEN
    assert [suite.asked(case) for case in [*BROKEN, "c6"]] == [3, 3, 3, 1]
    suite.plan(wrong=BROKEN[:2])
    assert suite.eval("run", "--baseline", "last").code == 0
    assert suite.eval("run", "--baseline", "last", "--max-regressed", "1").code == 3


def test_rows_that_fail_once_and_pass_when_asked_again_block_only_the_plain_rule(suite: SuiteCommands) -> None:
    suite.record(4)
    suite.plan(wrong_at={case: [1, 4] for case in BROKEN})  # the first answers of two runs
    ended = suite.eval("run", "--baseline", "last", "--json")
    assert (ended.code, ended.json["gate"]["regressed"], ended.json["gate"]["asked_again"]) == (0, [], 6)
    plain = suite.eval("run", "--baseline", "last", "--no-confirm", "--json")
    assert (plain.code, plain.json["gate"]["rule"], plain.json["gate"]["asked_again"]) == (3, "plain", 0)


def test_rows_that_always_failed_or_are_new_or_edited_block_nothing(suite: SuiteCommands) -> None:
    suite.write_cases(29)
    suite.plan(wrong=["c1", "c2"])
    for _ in range(5):
        suite.eval("run", "--record")
    suite.write_cases(30, edited="c9")
    suite.plan(wrong=["c1", "c2", "c9", "c29"])
    ended = suite.eval("run", "--baseline", "last", "--max-regressed", "0", "--json")
    assert ended.code == 0
    assert ended.json["gate"]["new"] == ["c9", "c29"]
    assert ended.json["gate"]["compared"] == 28


def test_a_branch_is_never_history_and_a_run_id_ends_it(suite: SuiteCommands) -> None:
    suite.record(4)
    suite.plan(wrong=BROKEN)
    for _ in range(3):
        assert suite.eval("run", "--baseline", "last").code == 3
    suite.plan()
    first = suite.eval("run", "--baseline", "last", "--record", "--json").json
    second = suite.eval("run", "--baseline", first["run_id"], "--record", "--json").json["gate"]
    assert (second["baseline"], second["runs"]) == (first["run_id"], 5)
    assert suite.eval("run", "--baseline", "last", "--json").json["gate"]["runs"] == 6


def test_rows_that_broke_in_recorded_runs_stay_broken_however_often_they_are_run(suite: SuiteCommands) -> None:
    suite.record(4)
    suite.plan(wrong=BROKEN)
    assert [suite.eval("run", "--baseline", "last", "--record").code for _ in range(8)] == [3] * 8
    suite.plan()
    assert suite.eval("run", "--baseline", "last", "--record").code == 0


def test_rows_that_a_person_accepts_are_right_from_then_on(suite: SuiteCommands) -> None:
    suite.record(4)
    suite.plan(wrong=BROKEN)
    assert suite.eval("run", "--baseline", "last", "--accept").code == 2
    accepted = suite.eval("run", "--baseline", "last", "--record", "--accept")
    assert accepted.code == 0
    assert "3 rows have regressed, and 2 may (--max-regressed): accepted as they are." in accepted.out
    ended = suite.eval("run", "--baseline", "last", "--max-regressed", "0", "--json")
    assert (ended.code, ended.json["gate"]["regressed"], ended.json["gate"]["doubtful"]) == (0, [], [])
    suite.plan(wrong=[*BROKEN, "c6"])
    assert suite.eval("run", "--baseline", "last", "--max-regressed", "0").code == 3


@pytest.mark.parametrize("given", ["nothing", "unrecorded"])
def test_a_baseline_that_is_none_is_refused_before_anything_is_asked(suite: SuiteCommands, given: str) -> None:
    run_id = suite.eval("run", "--json").json["run_id"]
    suite.plan()
    ended = suite.eval("run", "--baseline", run_id if given == "unrecorded" else "nothing")
    assert ended.code == 2
    assert ended.err.startswith("aftercall: --baseline: must be")
    assert suite.asked("c0") == 0


def test_rows_whose_agent_raises_have_regressed_and_a_dead_agent_says_nothing(suite: SuiteCommands) -> None:
    suite.record(4)
    suite.plan(raises=BROKEN)
    assert suite.eval("run", "--baseline", "last").code == 3
    suite.plan(raises=[f"c{at}" for at in range(20)])
    ended = suite.eval("run", "--baseline", "last", "--json")
    assert ended.code == 4
    assert "fewer than half" in ended.json["reason"]


def test_a_recorded_run_of_errors_is_no_history(suite: SuiteCommands) -> None:
    suite.record(4)
    suite.plan(raises=[f"c{at}" for at in range(20)])
    assert suite.eval("run", "--record").code == 4
    suite.plan(wrong=BROKEN)
    assert suite.eval("run", "--baseline", "last", "--json").json["gate"]["runs"] == 4


def test_a_gate_that_was_interrupted_asks_only_what_is_missing(suite: SuiteCommands) -> None:
    suite.record(4)
    suite.plan(wrong=BROKEN)
    assert suite.eval("run", "--baseline", "last").code == 3
    with closing(sqlite3.connect(suite.folder / ".aftercall/runs.sqlite")) as file, file:
        # As a kill leaves it: the run has not ended, and some of its answers are missing.
        file.execute("UPDATE runs SET ended_at = NULL WHERE NOT recorded")
        file.execute("DELETE FROM rows WHERE attempt = 2 AND case_id <> 'c3'")
    suite.plan(wrong=BROKEN)
    resumed = suite.eval("run", "--baseline", "last", "--json")
    assert (resumed.code, resumed.json["gate"]["asked_again"]) == (3, 6)
    assert [suite.asked(case) for case in [*BROKEN, "c6"]] == [0, 1, 1, 0]


def test_a_rate_that_is_too_low_and_a_gate_are_both_answers(suite: SuiteCommands) -> None:
    suite.record(4)
    suite.plan(wrong=["c1", "c2"])
    ended = suite.eval("run", "--baseline", "last", "--min-pass-rate", "0.95", "--json")
    assert ended.code == 3
    assert ended.json["reason"] == (
        "the pass rate is 93.33 %, and 95.0 % are required; 2 rows have regressed, and 2 may (--max-regressed)"
    )


def test_with_repeats_each_answer_counts(suite: SuiteCommands) -> None:
    for _ in range(4):
        assert suite.eval("run", "--repeat", "2", "--record").code == 0
    suite.plan(wrong=BROKEN)
    gate = suite.eval("run", "--repeat", "2", "--baseline", "last", "--json").json["gate"]
    assert [(row["case_id"], row["runs_before"], row["runs_now"]) for row in gate["regressed"]] == [
        (case, 8, 4) for case in BROKEN
    ]
