"""The command line: exit codes, and what is printed."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
from pathlib import Path
from typing import Any

import pytest

from aftercall.errors import ExitCode
from system.commands import AFTERCALL, aftercall, assert_one_sentence, call, counts, fresh_aftercall, lines, outcome
from system.replays import CALLS, REPLAY
from system.runs import environment, sums_that_fail

pytestmark = pytest.mark.slow  # each starts processes


# --- wrong usage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("reply",), ("no such command 'reply'",)),
        (("replay", "--call", "x"), ("--call",)),
        (("replay", "--calls", "x"), ("--out", "replay --help")),
        (("replay", "--out", "out"), ("--calls", "at least one file")),
        (("replay", "--calls", "--out", "out"), ("--calls", "must be followed by a file")),
        (("replay", "--calls", "x", "--out", "out", "--workers", "13"), ("--workers", "12")),
        (("replay", "--calls", "x", "--out", "out", "--horizon", "1 month"), ("--horizon", "'1 month'", "30d")),
        (("simulate", "--out", "out", "--days", "nan"), ("--days",)),
        (("simulate", "--out", "out", "--seed", "-1"), ("--seed",)),
        (("simulate", "--out", "out", "--days", "3000", "--calls-per-day", "1e8"), ("--calls-per-day", "50,000,000")),
        (("schema", "--only", "Calls"), ("--only", "'Calls'", "AgentCall")),
        (("insights", "task", "--lookback", "x"), ("--lookback", "'x'")),
        (("insights", "task", "--lookback", "30m"), ("--lookback", "whole hours", "30m")),
        (("insights", "task", "--baseline", "90m"), ("--baseline", "whole hours", "90m")),
        (("insights", "task", "--as-of", "today"), ("--as-of", "'today'")),
        (("insights", "--source", "judge"), ("--source", "must come with a task type", "insights TASK --source")),
        (("check", "--config", "nowhere.toml"), ("nowhere.toml",)),
        (("check", "--calls-per-second", "0"), ("--calls-per-second: must be a number above 0", "got '0'", "12.5")),
        (("check", "--calls-per-second", "many"), ("--calls-per-second: must be a number above 0", "got 'many'")),
        (("topics",), ("topics --help",)),
        (("topics", "create", "--config", "nowhere.toml"), ("nowhere.toml",)),
        (("topics", "create", "--partitions", "0"), ("--partitions",)),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_one_sentence(aftercall(tmp_path, *arguments), 2, *parts)
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_option_whole(tmp_path: Path) -> None:
    done = aftercall(tmp_path, "replay", "--help")
    assert done.returncode == 0
    for option in (
        "--calls FILE...",
        "--outcomes FILE...",
        "--out DIR",
        "--horizon DURATION",
        "--accept-config-change",
    ):
        assert option in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert aftercall(tmp_path).stdout == aftercall(tmp_path, "--help").stdout


@pytest.mark.slow
def test_starting_is_fast(tmp_path: Path) -> None:
    """0.5 s of CPU for help and 1 s for check, twice that on a busy machine; the engine alone takes longer."""
    for arguments, limit in ((("--help",), 1.0), (("check",), 2.0)):
        took = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            assert fresh_aftercall(tmp_path, *arguments).returncode == 0
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert min(took) < limit, (arguments, took)


def test_help_and_check_do_not_load_the_engine(tmp_path: Path) -> None:
    for arguments in (["--help"], ["check"]):
        done = subprocess.run(
            [AFTERCALL[0], "-X", "importtime", *AFTERCALL[1:], *arguments],
            env=environment(), cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        loaded = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
        assert "typer" in loaded
        assert not loaded & {"numpy", "duckdb", "bytewax", "polars", "river", "scipy"}


def test_a_digest_before_a_week_has_ended_is_undecided(finished: Path) -> None:
    done = aftercall(finished, "digest", "--snapshot", "out")
    assert_one_sentence(done, ExitCode.UNDECIDED, "must hold the digest of a week; none has ended yet")


# --- what is printed -------------------------------------------------------------------------------------------------


def test_what_json_prints_can_be_parsed(finished: Path) -> None:
    found = counts(aftercall(finished, *REPLAY, "--json"))
    assert found["records"] == sum(
        found[name] for name in ("calls", "completed", "outcomes", "duplicates", "waiting", "dead_letters")
    )
    assert re.fullmatch(r"2025-03-01T\d\d:\d\d:\d\dZ", found["watermark"])
    insight: dict[str, Any] = json.loads(
        aftercall(finished, "insights", "summarise", "--snapshot", "out", "--json").stdout
    )
    assert insight["task_type"] == "summarise"
    assert json.loads(aftercall(finished, "check", "--json").stdout)["join"]["horizon"] == "30d"
    assert json.loads(aftercall(finished, "schema").stdout)["asyncapi"]["asyncapi"].startswith("3.")
    assert json.loads(aftercall(finished, "schema", "--only", "AgentCall").stdout)["title"] == "AgentCall"


def test_tables_fit_80_columns_and_files_get_no_control_codes(finished: Path) -> None:
    done = aftercall(finished, "insights", "summarise", "--snapshot", "out", COLUMNS="80")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "…" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "m-0" in done.stdout
    assert "\x1b" not in aftercall(finished, *REPLAY).stdout


def test_names_are_never_taken_for_markup(tmp_path: Path) -> None:
    (tmp_path / "calls.jsonl").write_bytes(
        lines(call(n, task_type="[/red]", model="[bold]m", config=":fire:") for n in range(CALLS))
    )
    (tmp_path / "outcomes.jsonl").write_bytes(lines(map(outcome, range(CALLS))))
    assert aftercall(tmp_path, *REPLAY).returncode == 0
    done = aftercall(tmp_path, "insights", "[/red]", "--snapshot", "out")
    assert done.returncode == 0, done.stderr
    assert "[/red]" in done.stdout
    assert re.search(r"\[bold\]m +:fire:", done.stdout)


def test_names_cannot_command_a_terminal(tmp_path: Path) -> None:
    """Most controls are no part of a name; blanks within it are, and are escaped where they are no plain ones."""
    named = (call(n, task_type="t\x1b\r[31m", model="m\x07\x85n") for n in range(CALLS))
    (tmp_path / "calls.jsonl").write_bytes(lines(named))
    (tmp_path / "outcomes.jsonl").write_bytes(lines(map(outcome, range(CALLS))))
    assert aftercall(tmp_path, *REPLAY).returncode == 0
    done = aftercall(tmp_path, "insights", "t\x1b\r[31m", "--snapshot", "out")
    assert r"t\r[31m" in done.stdout
    assert r"m\x85n" in done.stdout
    assert done.stdout.replace("\n", "").isprintable()


@pytest.mark.parametrize("arguments", [("schema",), REPLAY], ids=lambda arguments: arguments[0])
def test_a_reader_that_goes_away_gets_no_traceback(finished: Path, arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*AFTERCALL, *arguments],
        env=environment(), cwd=finished, stdout=writing, stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which there is on Linux")
def test_a_full_standard_output_is_one_sentence(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*AFTERCALL, "check"],
            env=environment(), cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(r"aftercall: [^\n]*No space left[^\n]*\n", done.stderr), done.stderr


@pytest.mark.slow
def test_closed_standard_streams_do_no_harm(sound: Path) -> None:
    command = " ".join([*AFTERCALL, *REPLAY, "<&-", ">&-", "2>&-"])
    done = subprocess.run(["sh", "-c", command], env=environment(), cwd=sound, check=False)
    assert done.returncode == 0
    assert sums_that_fail(sound / "out") == []
