"""The command line: exit codes, inputs as they come, one run per folder, interruption, and what is printed."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import signal
import subprocess
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from aftercall.errors import ExitCode
from flows.runtime.run_folder import VERSION
from harness.waiting import HANG_S, until
from system.commands import (
    AFTERCALL,
    aftercall,
    assert_one_sentence,
    call,
    counts,
    fresh_aftercall,
    lines,
    outcome,
    table,
)
from system.run_file import change_run
from system.runs import environment, left, sums_that_fail

pytestmark = pytest.mark.slow  # each starts processes

CALLS = 40
REPLAY = ("replay", "--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl", "--out", "out")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A folder with a file of calls and one of outcomes."""
    (tmp_path / "calls.jsonl").write_bytes(lines(map(call, range(CALLS))))
    (tmp_path / "outcomes.jsonl").write_bytes(lines(map(outcome, range(CALLS))))
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files and their finished run, for tests that only look."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "calls.jsonl").write_bytes(lines(map(call, range(CALLS))))
    (folder / "outcomes.jsonl").write_bytes(lines(map(outcome, range(CALLS))))
    assert aftercall(folder, *REPLAY).returncode == 0
    return folder


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


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*AFTERCALL, *arguments],
        env=environment(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(path: Path) -> None:
    until(path.exists, lambda: sorted(path.parent.parent.rglob("*")), every_s=0.01)


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


# --- what is printed -------------------------------------------------------------------------------------------------


def test_what_json_prints_can_be_parsed(finished: Path) -> None:
    found = counts(aftercall(finished, *REPLAY, "--json"))
    assert found["records"] == sum(
        found[name] for name in ("calls", "outcomes", "duplicates", "waiting", "dead_letters")
    )
    assert re.fullmatch(r"2025-03-01T\d\d:\d\d:\d\dZ", found["watermark"])
    insight: dict[str, Any] = json.loads(
        aftercall(finished, "insights", "summarise", "--snapshot", "out", "--json").stdout
    )
    assert insight["task_type"] == "summarise"
    assert json.loads(aftercall(finished, "check", "--json").stdout)["join"]["horizon"] == "30d"
    assert json.loads(aftercall(finished, "schema").stdout)["asyncapi"]["asyncapi"].startswith("3.")
    assert json.loads(aftercall(finished, "schema", "--only", "AgentCall").stdout)["title"] == "AgentCall"


def test_what_check_prints_is_a_settings_file_with_the_same_settings(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(
        '[task."a b/c\\u007f"]\nhorizon = "36h"\nsegments = ["x", "ü\\u0007"]\n[verdict.source.tox]\nfail_at = 0.1\n'
        '[retention]\nhourly = "9d"\n[kafka.librdkafka]\n"linger.ms" = 9\n"log.queue" = true\n',
        encoding="utf-8",
    )
    first = aftercall(tmp_path, "check", "--config", "one.toml", "--no-broker")
    assert (first.returncode, first.stderr) == (0, "")
    assert tomllib.loads(first.stdout)["task"]["a b/c\x7f"]["segments"] == ["x", "ü\x07"]
    (tmp_path / "two.toml").write_text(first.stdout, encoding="utf-8")
    assert aftercall(tmp_path, "check", "--config", "two.toml", "--no-broker").stdout == first.stdout


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ('[kafka.librdkafka]\n"sasl.pasword" = "hush-1"', 'No such configuration property: "sasl.pasword"'),
        ('[kafka.librdkafka]\nacks = 1\n"sasl.password" = "hush-2"', "may not have acks under librdkafka"),
        ('[kafka.librdkafka_files]\n"sasl.password" = "nowhere"', "nowhere: No such file or directory"),
        ('[kafka.librdkafka]\n"security.protocol" = "SASL_SSL"\n"sasl.password" = "hush-3"', "must be set"),
    ],
)
def test_settings_for_kafka_that_cannot_be_used_are_found_without_a_broker(
    tmp_path: Path, settings: str, part: str
) -> None:
    (tmp_path / "aftercall.toml").write_text(settings, encoding="utf-8")
    done = aftercall(tmp_path, "check", "--config", "aftercall.toml", "--no-broker")
    assert_one_sentence(done, 2, part)
    assert "hush" not in done.stderr


@pytest.mark.slow
def test_check_reaches_the_broker_where_one_is_set_and_only_there(tmp_path: Path) -> None:
    done = aftercall(tmp_path, "check", AFTERCALL_KAFKA__BROKERS="localhost:1")
    assert done.returncode == 1
    assert 'brokers = "localhost:1"' in done.stdout
    assert re.fullmatch(
        r"aftercall: kafka.brokers: a broker of localhost:1 must answer [^\n]*refused[^\n]*\n", done.stderr
    )
    assert aftercall(tmp_path, "check", "--no-broker", AFTERCALL_KAFKA__BROKERS="localhost:1").returncode == 0
    assert aftercall(tmp_path, "check").returncode == 0


def test_sizes_are_printed_also_where_no_broker_answers_and_change_no_exit_code(tmp_path: Path) -> None:
    asked = aftercall(tmp_path, "check", "--calls-per-second", "1", AFTERCALL_KAFKA__BROKERS="localhost:1")
    assert asked.returncode == 1
    assert "2.6 M  208 MB" in asked.stdout
    alone = aftercall(tmp_path, "check", "--calls-per-second", "1")
    assert (alone.returncode, alone.stderr) == (0, "")
    assert "2.6 M  208 MB" in alone.stdout
    too_many = aftercall(tmp_path, "check", "--calls-per-second", "1e9")
    assert too_many.returncode == 0
    assert re.fullmatch(
        r"aftercall: --calls-per-second: held calls must fit [^\n]* 208 PB \([^()\n]+\)\n", too_many.stderr
    )


def test_sizes_are_comments_of_80_columns_below_the_settings(tmp_path: Path) -> None:
    (tmp_path / "aftercall.toml").write_text(
        f'[task."a\\u0007\\n b"]\nhorizon = "7d"\n[task.{"long" * 60}]\nhorizon = "90d"\n', encoding="utf-8"
    )
    check = ("check", "--config", "aftercall.toml")
    done = aftercall(tmp_path, *check, "--calls-per-second", "0.5")
    settings = aftercall(tmp_path, *check).stdout
    assert done.stdout.startswith(settings)
    sizes = done.stdout.removeprefix(settings).removeprefix("\n").splitlines()
    assert max(map(len, sizes)) <= 80
    assert {line[:2] for line in sizes} == {"# ", "#"}
    assert tomllib.loads(done.stdout) == tomllib.loads(settings)
    assert [line.split()[1] for line in sizes if line.endswith((r"  a\x07\n b", "...", "  all others"))] == [
        "90d",
        "30d",
        "7d",
    ]


def test_sizes_are_in_what_json_prints(tmp_path: Path) -> None:
    printed = json.loads(aftercall(tmp_path, "check", "--json", "--calls-per-second", "2.5").stdout)
    assert printed["sizing"]["calls_per_second"] == 2.5
    assert [size["calls_held"] for size in printed["sizing"]["horizons"]] == [2.5 * 3600 * (30 * 24 + 1)]
    assert "sizing" not in json.loads(aftercall(tmp_path, "check", "--json").stdout)


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
    assert "[bold]m/:fire:" in done.stdout


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


def test_a_recovery_store_that_was_tampered_with_is_one_sentence(sound: Path) -> None:
    assert aftercall(sound, *REPLAY).returncode == 0
    change_run(sound / "out", finished=False)
    (sound / "out" / "state" / "recovery").mkdir()
    assert_one_sentence(aftercall(sound, *REPLAY), 1, "out/state/recovery: must be as the run left it", "--out")


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


# --- the demo --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.long
def test_the_demo_run_twice_shows_the_same(tmp_path: Path) -> None:
    first, second = aftercall(tmp_path, "demo"), aftercall(tmp_path, "demo")
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout
    assert "No false alarm." in first.stdout
    assert "\x1b" not in first.stdout
    assert "…" not in first.stdout
    assert sums_that_fail(tmp_path / "aftercall-demo") == []


def test_the_demo_leaves_other_folders_alone(sound: Path) -> None:
    assert_one_sentence(aftercall(sound, "demo", "--out", "."), 2, "must be empty or hold an earlier demo")
    assert {path.name for path in sound.iterdir()} == {"calls.jsonl", "outcomes.jsonl"}


@pytest.mark.slow
def test_an_interrupted_demo_can_be_started_again(tmp_path: Path) -> None:
    running = start(tmp_path, "demo", "--out", "demo")
    wait_for(tmp_path / "demo" / "calls.jsonl")
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=HANG_S)
    assert (running.returncode, stderr.count("\n")) == (130, 1)
    again = start(tmp_path, "demo", "--out", "demo")
    wait_for(tmp_path / "demo" / "calls.jsonl")
    assert again.poll() is None
    again.send_signal(signal.SIGINT)
    _, stderr = again.communicate(timeout=HANG_S)
    assert "must be empty" not in stderr


def test_simulate_writes_over_nothing(tmp_path: Path) -> None:
    """A second run into the same folder is refused, and the first one's files stay."""
    first = aftercall(tmp_path, "simulate", "--out", "sim", "--days", "0.1")
    assert first.returncode == 0
    before = (tmp_path / "sim" / "calls.jsonl").read_bytes()
    second = aftercall(tmp_path, "simulate", "--out", "sim", "--days", "0.2")
    assert second.returncode == 2
    assert "must hold no calls.jsonl" in second.stderr
    assert (tmp_path / "sim" / "calls.jsonl").read_bytes() == before


def test_swapped_files_are_remarked_on(tmp_path: Path) -> None:
    """Nothing was a call: everything is a dead letter, and a sentence names what may have happened."""
    aftercall(tmp_path, "simulate", "--out", "sim", "--days", "0.1")
    done = aftercall(
        tmp_path, "replay", "--calls", "sim/outcomes.jsonl", "--outcomes", "sim/calls.jsonl", "--out", "out"
    )
    assert done.returncode == 0
    assert "swapped?" in done.stderr
