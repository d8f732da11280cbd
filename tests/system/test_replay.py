"""`aftercall replay`: inputs as they come, one run per folder, interruption."""

from __future__ import annotations

import gzip
import json
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from backports import zstd

from flows.runtime.run_folder import VERSION
from harness.waiting import HANG_S
from system.commands import aftercall, assert_one_sentence, call, counts, lines, outcome, table
from system.replays import CALLS, REPLAY, start, wait_for
from system.run_file import change_run
from system.runs import left, sums_that_fail

pytestmark = pytest.mark.slow  # each starts processes


# --- inputs as they come ---------------------------------------------------------------------------------------------


def test_empty_files_give_an_empty_run(tmp_path: Path) -> None:
    for name in ("calls", "outcomes"):
        (tmp_path / f"{name}.jsonl").touch()
    done = aftercall(tmp_path, *REPLAY, "--json")
    assert counts(done)["records"] == counts(done)["calls"] == 0
    left_files = {path.name for path in (tmp_path / "out").iterdir()}
    assert left_files >= {"verdicts.jsonl", "recommendations.jsonl", "alerts.jsonl", "dead_letters.jsonl"}
    assert table(tmp_path / "out", "SELECT count(*) FROM rates") == [(0,)]
    assert aftercall(tmp_path, *REPLAY).stdout.startswith("0 records = 0 calls")


def test_only_calls_are_all_pending_and_only_outcomes_all_waiting(sound: Path) -> None:
    calls = counts(aftercall(sound, "replay", "--calls", "calls.jsonl", "--out", "calls", "--json"))
    assert (calls["calls"], calls["pending"], calls["outcomes"]) == (CALLS, CALLS, 0)
    outcomes = counts(aftercall(sound, "replay", "--outcomes", "outcomes.jsonl", "--out", "outcomes", "--json"))
    assert (outcomes["waiting"], outcomes["outcomes"], outcomes["dead_letters"]) == (CALLS, 0, 0)
    assert sums_that_fail(sound / "outcomes") == []


def windows(content: bytes) -> bytes:
    """As an editor of another system would save it: a mark, other line ends, blank lines."""
    return b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n  \r\n\r\n")


def split(content: bytes) -> tuple[bytes, bytes]:
    """Every other line."""
    every = content.splitlines(keepends=True)
    return b"".join(every[::2]), b"".join(every[1::2])


@pytest.mark.slow
def test_what_files_look_like_makes_no_difference(sound: Path, finished: Path) -> None:
    calls, outcomes = (sound / "calls.jsonl").read_bytes(), (sound / "outcomes.jsonl").read_bytes()
    (sound / "dos.jsonl").write_bytes(windows(calls))
    (sound / "dos-outcomes.jsonl").write_bytes(windows(outcomes))
    (sound / "calls.jsonl.gz").write_bytes(gzip.compress(calls))
    (sound / "outcomes.jsonl.zst").write_bytes(zstd.compress(outcomes))
    for name, part in zip(("a.jsonl", "b.jsonl"), split(calls), strict=True):
        (sound / name).write_bytes(part)
    expected = left(finished / "out")
    for number, (given, outcomes_file) in enumerate(
        (
            (["dos.jsonl"], "dos-outcomes.jsonl"),
            (["calls.jsonl.gz"], "outcomes.jsonl.zst"),
            (["b.jsonl", "a.jsonl"], "outcomes.jsonl"),
        )
    ):
        out = f"out-{number}"
        done = aftercall(sound, "replay", "--calls", *given, "--outcomes", outcomes_file, "--out", out, "--json")
        assert (counts(done)["calls"], counts(done)["dead_letters"], done.stderr) == (CALLS, 0, "")
        found = left(sound / out)
        assert found.tables == expected.tables
        assert found.newest_verdicts == expected.newest_verdicts


def test_a_file_given_twice_is_all_duplicates(sound: Path, finished: Path) -> None:
    arguments = (
        "--calls",
        "calls.jsonl",
        "calls.jsonl",
        "--outcomes",
        "outcomes.jsonl",
        "--outcomes",
        "outcomes.jsonl",
    )
    found = counts(aftercall(sound, "replay", *arguments, "--out", "out", "--json"))
    assert (found["records"], found["duplicates"], found["dead_letters"]) == (4 * CALLS, 2 * CALLS, 0)
    for name in ("calls", "statements", "rates"):
        assert left(sound / "out").tables[name] == left(finished / "out").tables[name]


# --- one run per folder ----------------------------------------------------------------------------------------------


def test_a_finished_run_repeated_prints_the_same_and_changes_nothing(finished: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in (finished / "out").glob("*.*")}
    first, second = aftercall(finished, *REPLAY), aftercall(finished, *REPLAY)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout
    assert {path: path.stat().st_mtime_ns for path in (finished / "out").glob("*.*")} == files


def test_a_finished_run_under_other_settings_reports_that_they_were_not_applied(finished: Path) -> None:
    done = aftercall(finished, *REPLAY, AFTERCALL_ROUTING__FLOOR="0.02")
    assert done.returncode == 0
    assert "routing.floor was 0.01, is 0.02" in done.stderr
    assert done.stderr.count("\n") == 1


def test_settings_that_decide_verdicts_may_only_change_when_that_is_accepted(finished: Path) -> None:
    changed = (*REPLAY, "--horizon", "5d")
    assert_one_sentence(
        aftercall(finished, *changed), 2, "out: ", "join.horizon was '30d', is '5d'", "--accept-config-change"
    )
    assert aftercall(finished, *changed, "--accept-config-change").returncode == 0


def test_after_state_of_another_version_a_new_out_reads_everything_again(sound: Path) -> None:
    first = aftercall(sound, *REPLAY, "--json")
    change_run(sound / "out", version=99)
    refused = aftercall(sound, *REPLAY)
    assert_one_sentence(refused, 1, f"run.json: stored state must have version {VERSION}; got 99", "a new --out")
    second = aftercall(sound, *REPLAY[:-1], "other", "--json")
    assert counts(second) | {"snapshot": ""} == counts(first) | {"snapshot": ""}


def many(folder: Path, calls: int) -> None:
    """Files that take a few seconds."""
    (folder / "calls.jsonl").write_bytes(lines(map(call, range(calls))))
    (folder / "outcomes.jsonl").write_bytes(lines(map(outcome, range(calls))))


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_interrupted_it_reports_that_and_the_same_command_goes_on(tmp_path: Path, workers: str) -> None:
    many(tmp_path, 20_000)
    arguments = (*REPLAY, "--workers", workers)
    running = start(tmp_path, *arguments)
    wait_for(tmp_path / "out" / "state" / "live.duckdb")
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=HANG_S)
    assert (running.returncode, stdout) == (130, "")
    assert stderr == "aftercall: interrupted; give the same command again to resume\n"
    assert not json.loads((tmp_path / "out" / "state" / "run.json").read_text())["finished"]
    found = counts(aftercall(tmp_path, *arguments, "--json"))
    assert (found["calls"], found["outcomes"], found["dead_letters"]) == (20_000, 20_000, 0)
    verdicts = Counter((tmp_path / "out" / "verdicts.jsonl").read_text().splitlines())
    assert verdicts.total() == len(verdicts)
    assert sums_that_fail(tmp_path / "out") == []


@pytest.mark.slow
def test_of_two_runs_in_one_folder_the_second_is_refused(tmp_path: Path) -> None:
    many(tmp_path, 20_000)
    running = start(tmp_path, *REPLAY)
    wait_for(tmp_path / "out" / "state" / "run.json")
    # It stands still meanwhile: a fast machine would have ended it before the second begins.
    running.send_signal(signal.SIGSTOP)
    assert_one_sentence(aftercall(tmp_path, *REPLAY), 1, "out: must be this run's alone", "choose another --out")
    running.send_signal(signal.SIGCONT)
    _, stderr = running.communicate(timeout=HANG_S)
    assert (running.returncode, stderr) == (0, "")


def test_a_recovery_store_that_was_tampered_with_is_one_sentence(sound: Path) -> None:
    assert aftercall(sound, *REPLAY).returncode == 0
    change_run(sound / "out", finished=False)
    (sound / "out" / "state" / "recovery").mkdir()
    assert_one_sentence(aftercall(sound, *REPLAY), 1, "out/state/recovery: must be as the run left it", "--out")


def test_swapped_files_are_remarked_on(tmp_path: Path) -> None:
    """Nothing was a call: everything is a dead letter, and a sentence names what may have happened."""
    aftercall(tmp_path, "simulate", "--out", "sim", "--days", "0.1")
    done = aftercall(
        tmp_path, "replay", "--calls", "sim/outcomes.jsonl", "--outcomes", "sim/calls.jsonl", "--out", "out"
    )
    assert done.returncode == 0
    assert "swapped?" in done.stderr
