"""Marks on files, as a user has them: written by `mark`, replayed, counted, refused, and named by the alert."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from harness.waiting import HANG_S
from oracle import marks as oracle
from oracle.records import NEVER, micros
from system.commands import aftercall, assert_one_sentence
from system.forks import Fork
from system.runs import assert_same, environment, left, sums_that_fail
from system.test_kill import published

pytestmark = pytest.mark.slow

START = datetime(2025, 3, 3, tzinfo=UTC)
PER_DAY, DAYS = 600, 6
CHANGED = START + timedelta(days=4, hours=12, minutes=40)
DEPLOYED = CHANGED - timedelta(minutes=30)
FILES = ("--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl", "--marks", "marks.jsonl")
REFUSED = ({"occurred_at": "2025-03-03T00:00:00Z"}, {"task_type": "refund"})


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six days of calls, most of which fail from a moment on; marks before it and after, and some that are none."""
    draw, folder = random.Random(8), tmp_path_factory.mktemp("marks")
    calls: list[dict[str, Any]] = []
    outcomes: list[dict[str, Any]] = []
    for number in range(PER_DAY * DAYS):
        at = START + timedelta(days=number / PER_DAY)
        call = {"call_id": f"call-{number}", "occurred_at": at.isoformat(), "task_type": "refund", "model": "atlas"}
        said_at = (at + timedelta(minutes=3)).isoformat()
        success = draw.random() < (0.95 if at < CHANGED else 0.45)
        calls.append(call)
        outcomes.append(
            {
                "outcome_id": "o",
                "call_id": call["call_id"],
                "occurred_at": said_at,
                "source": "judge",
                "success": success,
            }
        )
    for name, records in (("calls", calls), ("outcomes", outcomes)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for at, task, text in (
        (DEPLOYED - timedelta(hours=9), "*", "gateway 4.1"),
        (DEPLOYED, "refund", "prompt v8"),
        (DEPLOYED, "refund", "prompt v8"),
        (DEPLOYED + timedelta(minutes=1), "search", "prompt v3"),
        (START + timedelta(days=DAYS + 30), "refund", "after all calls"),
    ):
        when = at.isoformat().replace("+00:00", "Z")
        done = aftercall(folder, "mark", "--at", when, "--task", task, "--text", text, "--file", "marks.jsonl")
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
    done = aftercall(
        folder, *("mark", "--at", "2025-03-04T00:00:00Z", "--task", "refund", "--text", "v1", "--id", "release"),
        *("--file", "marks.jsonl"),
    )  # fmt: skip
    assert done.stdout == "mark release at 2025-03-04T00:00:00Z: marks.jsonl, line 6\n", done.stdout
    with (folder / "marks.jsonl").open("a") as file:
        other = {"mark_id": "release", "occurred_at": "2025-03-05T00:00:00Z", "task_type": "refund"}
        file.writelines(json.dumps(record) + "\n" for record in (other, *REFUSED))
    return folder


def replay(made: Path, out: Path, *more: str) -> dict[str, Any]:
    done = aftercall(made, "replay", *FILES, "--out", out, "--json", *more)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    counts: dict[str, Any] = json.loads(done.stdout)
    return counts


def alerts(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(out / "alerts.jsonl")]


def rows(out: Path, table: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(out / "outcomes.duckdb"), read_only=True) as base:
        return base.execute(f"FROM {table} ORDER BY ALL").fetchall()


@pytest.fixture(scope="module")
def whole(made: Path) -> Path:
    replay(made, made / "whole")
    return made / "whole"


def test_marks_are_counted_and_what_is_none_is_a_dead_letter(made: Path, whole: Path) -> None:
    counts = replay(made, whole)  # it has ended: its summary again
    assert (counts["marks"], counts["duplicates"], counts["dead_letters"]) == (5, 1, 3)
    assert counts["records"] == 2 * PER_DAY * DAYS + 9
    assert counts["dead_letter_reasons"] == {"conflict": 1, "missing_field": 2}
    assert sums_that_fail(whole) == []
    sent = sorted(lines(made / "marks.jsonl")[:7], key=lambda line: json.loads(line)["occurred_at"])
    became = oracle.read(oracle.sent(line, NEVER) for line in sent)
    with duckdb.connect(str(whole / "outcomes.duckdb"), read_only=True) as base:
        rows = base.execute("SELECT mark_id, epoch_us(occurred_at), task_type, text FROM marks").fetchall()
    assert sorted(rows) == sorted(mark[:4] for mark in became.accepted)
    assert "+ 5 marks +" in aftercall(made, "replay", *FILES, "--out", whole).stdout.replace("\n", " ")


def test_the_alert_names_the_deployment_before_it(made: Path, whole: Path) -> None:
    drops = [one for one in alerts(whole) if (one["metric"], one["direction"]) == ("success_rate", "down")]
    assert [one["state"] for one in drops][:1] == ["opened"]
    marks = oracle.read(oracle.sent(line, NEVER) for line in lines(made / "marks.jsonl")[:6]).accepted
    for one in alerts(whole):
        wanted = oracle.nearest(marks, one["task_type"], micros(one["changed_at"]), micros(one["updated_at"]))
        assert one.get("mark", {}).get("mark_id") == (wanted and wanted.mark_id)
    when = DEPLOYED.isoformat().replace("+00:00", "Z")
    mark = {"mark_id": drops[0]["mark"]["mark_id"], "occurred_at": when, "task_type": "refund", "text": "prompt v8"}
    mark["source"] = None
    assert drops[0]["mark"] == mark
    assert f"Nearest mark: 'prompt v8', {DEPLOYED:%Y-%m-%d %H:%M} UTC." in drops[0]["reason"]
    shown = aftercall(made, "alerts", "--snapshot", whole)
    assert f"Nearest mark: prompt v8, {DEPLOYED:%Y-%m-%d %H:%M} UTC" in shown.stdout.replace("\n ", "")
    listed = json.loads(aftercall(made, "alerts", "--snapshot", whole, "--json").stdout)["alerts"]
    assert mark in [one["mark"] for one in listed]


def test_without_marks_all_but_alerts_is_the_same_and_a_drop_is_found_no_sooner(made: Path, whole: Path) -> None:
    done = aftercall(made, "replay", *FILES[:4], "--out", "without")
    assert done.returncode == 0, done.stderr
    without = made / "without"
    assert sorted(lines(without / "verdicts.jsonl")) == sorted(lines(whole / "verdicts.jsonl"))
    for table in ("rates", "calls", "statements"):
        assert rows(without, table) == rows(whole, table)
    noticed = [
        min(one["opened_at"] for one in alerts(out) if (one["kind"], one["direction"]) == ("drift", "down"))
        for out in (whole, without)
    ]
    assert noticed[0] <= noticed[1]
    assert not any("mark" in one for one in alerts(without))


def test_two_workers_and_a_run_that_is_killed_leave_what_one_leaves(made: Path, whole: Path) -> None:
    replay(made, made / "two", "--workers", "2")
    assert_same(left(made / "two"), left(whole))
    out = made / "killed"
    command = ("aftercall", "replay", *FILES, "--out", str(out))
    process = Fork(command, cwd=made, env=environment(), out=made / "printed.txt", err=made / "errors.txt")
    deadline = datetime.now(UTC) + timedelta(seconds=HANG_S)
    while process.poll() is None and not published(out) and datetime.now(UTC) < deadline:
        pass
    process.kill()
    process.wait()
    replay(made, out)
    assert_same(left(out), left(whole))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (("--task", "refund", "--text", "v8"), ("--config, --file: one of them must say where", "(")),
        (("--task", "__other__", "--text", "v8", "--file", "m.jsonl"), ("--task: ", "'__other__'")),
        (("--task", "", "--text", "v8", "--file", "m.jsonl"), ("--task: is required",)),
        (("--task", "refund", "--text", "", "--file", "m.jsonl"), ("--text: is required",)),
        (("--task", "refund", "--text", "x" * 257, "--file", "m.jsonl"), ("--text: ", "256")),
        (("--task", "refund", "--text", "v8", "--id", "x" * 257, "--file", "m.jsonl"), ("--id: ", "256")),
        (("--task", "refund", "--text", "v8", "--at", "soon", "--file", "m.jsonl"), ("--at: ", "'soon'")),
        (("--task", "refund", "--text", "v8", "--at", "1999-01-01T00:00:00Z", "--file", "m.jsonl"), ("--at: ", "2000")),
        (
            ("--task", "refund", "--text", "v8", "--at", "2099-01-01T00:00:00Z", "--file", "m.jsonl"),
            ("--at: must be no more than 5m ahead of the clock", "2099-01-01T00:00:00Z"),
        ),
    ],
)
def test_a_mark_that_would_be_refused_is_not_written(
    tmp_path: Path, options: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_one_sentence(aftercall(tmp_path, "mark", *options), 2, *parts)
    assert not (tmp_path / "m.jsonl").exists()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    done = aftercall(tmp_path, "mark", "--task", "refund", "--text", "v8", "--file", "none/m.jsonl")
    assert_one_sentence(done, 1, "none/m.jsonl: must be writable", "--file")


def test_a_mark_ahead_of_the_clock_is_a_dead_letter(sound: Path) -> None:
    ahead = {"occurred_at": "2099-03-03T00:00:00Z", "task_type": "refund"}
    (sound / "marks.jsonl").write_text(json.dumps(ahead) + "\n")
    done = aftercall(sound, "replay", *FILES, "--out", "out", "--json")
    counts = json.loads(done.stdout)
    assert (counts["marks"], counts["dead_letter_reasons"]) == (0, {"future": 1})


def test_a_refused_mark_is_redriven_into_a_file_of_marks(sound: Path) -> None:
    first = {"mark_id": "m", "occurred_at": "2025-03-01T00:00:00Z", "task_type": "refund"}
    other = first | {"text": "v9"}
    (sound / "marks.jsonl").write_text("".join(json.dumps(one) + "\n" for one in (first, other)))
    assert aftercall(sound, "replay", *FILES, "--out", "out").returncode == 0
    done = aftercall(sound, "dead-letters", "redrive", "--from", "out", "--to", "again")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert [json.loads(line) for line in lines(sound / "again" / "marks.jsonl")] == [other]
    assert not (sound / "again" / "calls.jsonl").exists()


def test_marks_alone_are_no_replay(tmp_path: Path) -> None:
    (tmp_path / "marks.jsonl").write_text("")
    done = aftercall(tmp_path, "replay", "--marks", "marks.jsonl", "--out", "out")
    assert_one_sentence(done, 2, "--calls, --outcomes: at least one file must be given")
    assert_one_sentence(aftercall(tmp_path, "replay", "--marks", "--out", "out"), 2, "--marks: must be followed by")
