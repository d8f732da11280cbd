"""What a run logs: one line for each stage, by one process where it concerns all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from kafka.service import Pipeline, Running

Pipelines = Callable[..., Pipeline]
RUN = (
    r"started: aftercall \S+, folder \S+/out, {processes}, probes and metrics on port \d+",
    r"state loaded in \d+\.\d s{held}",
    r"reading calls-\w+ \(\d+ partitions?, from offsets? {offsets}, {left} records behind\) and outcomes-\w+ \(.+\)",
    r"caught up: each partition was read to its end; \d+ s after the start",
    r"snapshot published in \d+\.\d s: \S+\.duckdb",
    r"SIGTERM: finishing the epoch",
    r"stopped; the same command resumes here",
)


CONTROL = json.dumps({"call_id": "c", "task_type": "t", "model": "m", "occurred_at": "\x1b[31m"}).encode()
"""A record that a terminal must not execute where its time is shown."""


def lines(running: Running, logger: str) -> list[dict[str, Any]]:
    parsed = [json.loads(line) for line in running.printed().splitlines()]
    return [line for line in parsed if line["logger"] == logger]


@pytest.mark.slow
def test_a_run_logs_its_stages_once_each_and_dead_letters_together(pipeline: Pipelines) -> None:
    it = pipeline()
    it.settings["snapshot"] = {"every": "1s"}
    it.settings["recovery"] = {"epoch": "1s"}
    it.send(300)
    for number in range(50):
        it.send_refused("calls", number % 2, CONTROL, "bad_time")
    running = it.start()
    running.until_counted()
    running.until(lambda: running.logged("caught up") and running.logged("dead letters"))
    it.send(30)
    running.until_counted()
    assert (running.metric("aftercall_snapshot_version") or 0) >= 2, "only the first is logged"
    running.stop()
    assert_lines(running, processes="1 process", held="(: 0 calls without a verdict)?", offsets="0", left="[0-9]+")
    letters = [line["event"] for line in lines(running, "aftercall.dead_letters")]
    first = r"\d+ bad_time; the first: bad_time at calls-\w+/\d, offset \d+: .*occurred_at.*\\x1b.*"
    assert all(re.fullmatch(f"dead letters: {first}", event) for event in letters), letters
    assert sum(int(event.split()[2]) for event in letters) == 50
    assert len(letters) <= 2, "one at once, one at the end"
    assert "\x1b" not in running.printed()

    it.send(30)
    running = it.start(processes=2)
    running.until_counted()
    running.until(lambda: running.printed().count("caught up") == 2)
    running.stop()
    started, stopped = (
        [line for line in lines(running, "aftercall.run") if line["event"].startswith(word)]
        for word in ("started: ", "stopped; ")
    )
    assert len(started) == len(stopped) == 1
    assert "2 processes" in started[0]["event"]
    assert running.printed().count("SIGTERM: ") == 1
    for word in ("state loaded", "reading"):
        said = [line["process"] for line in lines(running, "aftercall.run") if line["event"].startswith(word)]
        assert sorted(said) == [0, 1], word
    held = re.findall(r"state loaded in \S+ s: (\d+) calls", running.printed())
    assert held == ["110"], "of the one process that has the snapshot"
    assert running.printed().count("snapshot published") <= 1


def assert_lines(running: Running, **parts: str) -> None:
    """The lines of the course of a run, each once, in order; the first run on a broker makes the claims topic too."""
    events = [line["event"] for line in lines(running, "aftercall.run")]
    events = [event for event in events if not event.endswith("for the claims of services on their topics")]
    wanted = [line.format(**parts) if "{" in line else line for line in RUN]
    matched = [next((i for i, line in enumerate(wanted) if re.fullmatch(line, event)), event) for event in events]
    assert sorted(matched, key=str) == list(range(len(wanted))), events
    assert (matched[0], matched[-2:]) == (0, [5, 6]), events
