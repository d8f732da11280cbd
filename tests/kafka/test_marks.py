"""Marks between Kafka topics: sent by the command, read once through a kill, and named by the alert."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from kafka.service import Pipeline, rfc3339, toml
from system.commands import aftercall, assert_one_sentence
from system.runs import sums_that_fail

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

DAY_S = 86_400.0
PER_DAY, DAYS = 600, 6
CHANGED_S = 4.5 * DAY_S


def send_traffic(made: Pipeline, began: float) -> None:
    """Calls that are answered after three minutes, by most as failures from `CHANGED_S` after `began` on."""
    draw = random.Random(8)
    for number in range(PER_DAY * DAYS):
        since = number * DAY_S / PER_DAY
        call = {"call_id": f"call-{number}", "occurred_at": rfc3339(began + since), "task_type": "refund", "model": "m"}
        made.cluster.send(made.topics["calls"], 0, call["call_id"], json.dumps(call))
        success = draw.random() < (0.95 if since < CHANGED_S else 0.45)
        made.send_outcome(call["call_id"], 0, began + since + 180, success=success)
    made.cluster.flush()


def marked(made: Pipeline, at: float, task: str, text: str) -> str:
    """Sends a mark as users do; its id."""
    (made.folder / "aftercall.toml").write_text(toml(made.settings))
    options = ("--at", rfc3339(at), "--task", task, "--text", text)
    done = aftercall(made.folder, "mark", "--config", "aftercall.toml", *options)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert f": {made.topics['marks']}/0 at " in done.stdout
    return done.stdout.split()[1]


def test_a_mark_is_read_once_through_a_kill_and_named_by_the_alert(pipeline: Callable[..., Pipeline]) -> None:
    # No partition counts as idle: on a busy machine outcomes that come a second later would be late, and no evidence.
    made = pipeline(partitions=1, lanes=1, idle_after="1h")
    made.topics["marks"] = made.cluster.fresh_topic(1, "marks", cleanup_policy="compact")
    made.topics["trust"] = f"trust-never-made-{made.topics['trust']}"  # the service runs without it
    made.settings |= {"recovery": {"epoch": "1s"}, "snapshot": {"every": "1s"}}
    # At a midnight: days and hours of the detectors lie the same whenever the test runs.
    began = (time.time() // DAY_S - DAYS - 1) * DAY_S
    deployed = marked(made, began + CHANGED_S - 1800, "refund", "prompt v8")
    assert marked(made, began + CHANGED_S - 1800, "refund", "prompt v8") == deployed
    made.cluster.send(made.topics["marks"], 0, "bad", b'{"task_type": "refund"}')
    running = made.start()
    running.until(lambda: bool(made.row().get("marks", 0)))
    # Only now, as a mark that is read after the calls enters the record that is issued next.
    send_traffic(made, began)
    running.until(lambda: made.row().get("records", 0) > 3)
    running.kill()
    late = marked(made, began + DAYS * DAY_S, "*", "gateway 4.1")
    running = made.start()
    records = 2 * PER_DAY * DAYS + 4
    running.until(lambda: made.row().get("records", 0) >= records and len(made.table("FROM alerts")) > 0)
    running.stop()
    row = made.row()
    assert {name: row[name] for name in ("records", "marks", "duplicates", "dead_letters")} == {
        "records": records, "marks": 2, "duplicates": 1, "dead_letters": 1
    }  # fmt: skip
    assert sums_that_fail(made.out) == []
    assert {mark["mark_id"] for mark in made.table("FROM marks")} == {deployed, late}
    sent: list[dict[str, Any]] = [json.loads(one.value or b"") for one in made.cluster.read_all(made.topics["alerts"])]
    drops = [
        one for one in sent if (one["metric"], one["direction"], one["task_type"]) == ("success_rate", "down", "refund")
    ]
    assert {one["mark"]["mark_id"] for one in drops} == {deployed}
    assert all("Nearest mark: 'prompt v8', " in one["reason"] for one in drops)
    assert made.table("FROM trust")
    assert running.printed().count(f"{made.topics['trust']}: is missing or hidden, so that scores") == 1


def test_a_topic_of_marks_that_is_missing_is_named(pipeline: Callable[..., Pipeline]) -> None:
    made = pipeline(partitions=1, lanes=1)
    made.settings["kafka.topics"] = made.topics | {"marks": "marks-never-made"}
    (made.folder / "aftercall.toml").write_text(toml(made.settings))
    done = aftercall(made.folder, "mark", "--config", "aftercall.toml", "--task", "refund", "--text", "v8")
    assert_one_sentence(done, 1, "kafka.topics.marks: the topic must exist", "marks-never-made", "topics create")
