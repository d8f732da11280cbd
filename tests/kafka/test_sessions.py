"""What is said about sessions, between Kafka topics: dealt to partitions at random, two processes, killed, resumed."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from aftercall.times import HOUR_US, MINUTE_US
from kafka.service import Pipeline, Running
from oracle.against import compare
from oracle.order import Read
from oracle.records import Call, Outcome, Rules
from oracle.replay import Oracle
from oracle.session import Said
from oracle.session_files import Replayed, line_of
from oracle.session_histories import replayed_sessions

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

PARTITIONS = 4
SCOPES = ("last", "last", "all", "root", "descendants")


def session(number: int, began: int, draw: random.Random) -> list[Any]:
    """Calls of a session, one below another, and what is said about them before, between and after."""
    name, calls = f"s-{number}", list[Call]()
    for at in range(draw.randint(1, 5)):
        parent = calls[-1].call_id if calls and draw.random() < 0.5 else None
        when = began + at * 3 * MINUTE_US + draw.randrange(MINUTE_US)
        # Ids of calls and of sessions meet.
        call_id = name if at == 0 and number % 3 == 0 else f"{name}-{at}"
        calls.append(Call(call_id, when, "task", session_id=name, parent_call_id=parent))
    said = list[Any]()
    for at in range(draw.randint(0, 3)):
        scope = draw.choice(SCOPES)
        when = began + draw.randrange(-1, 16) * MINUTE_US + draw.randrange(MINUTE_US)
        named = draw.choice(calls).call_id if scope == "descendants" else ""
        thumb = Outcome(f"u{at}", named, when, "user", draw.random() < 0.5)
        said.append(Said(name, thumb, scope))
        more = draw.random()
        if more < 0.2:
            said.append(Said(name, replace(thumb, at=when + MINUTE_US, success=not thumb.success), scope))
        elif more < 0.3:
            said.append(said[-1])
        elif more < 0.4:
            back = Outcome(f"back{at}", "", when + MINUTE_US, "user", action="retract", retracts=thumb.outcome_id)
            said.append(Said(name, back))
    own = [Outcome("u0", call.call_id, call.at + MINUTE_US, "judge", success=True) for call in calls[:1]]
    return [*calls, *said, *own]


def dealt(records: list[Any], draw: random.Random) -> list[list[Any]]:
    """The records by partition and time: outcomes of a session share one, and so do the records of a call."""
    partitions: list[list[Any]] = [[] for _ in range(PARTITIONS)]
    of_key: dict[tuple[bool, str], int] = {}
    for record in sorted(records, key=lambda record: record.at):
        key = (True, record.session_id) if isinstance(record, Said) else (False, record.call_id)
        partitions[of_key.setdefault(key, draw.randrange(PARTITIONS))].append(record)
    return partitions


def send(pipeline: Pipeline, partitions: list[list[Any]]) -> None:
    for number, records in enumerate(partitions):
        for record in records:
            kind, members = line_of(record)
            key = record.session_id if isinstance(record, Said) else record.call_id
            pipeline.cluster.send(pipeline.topics[kind], number, key, json.dumps(members))
    pipeline.cluster.flush()


def counted(pipeline: Pipeline, running: Running, records: int) -> None:
    """Wait until a snapshot has so many records, and what is said about sessions has found its calls."""
    running.until(lambda: bool(pipeline.row().get("records", 0) >= records))


@pytest.fixture
def service(pipeline: Callable[..., Pipeline]) -> Callable[..., Pipeline]:
    def make(**join: str | int) -> Pipeline:
        made = pipeline(partitions=PARTITIONS, **join)
        made.settings |= {"recovery": {"epoch": "1s"}, "snapshot": {"every": "1s"}}
        made.settings |= {"verdict": {"precedence": ["judge"]}, "verdict.source.user": {"same_id": "revises"}}
        return made

    return make


def test_sessions_over_two_processes_that_are_killed_equal_the_oracle(service: Callable[..., Pipeline]) -> None:
    draw, made = random.Random(3), service()
    began = time.time_ns() // 1000 - 5 * HOUR_US
    halves = [
        [r for number in numbers for r in session(number, began + number * 2 * MINUTE_US, draw)]
        for numbers in (range(45), range(60, 105))
    ]
    parts = [dealt(half, draw) for half in halves]
    send(made, parts[0])
    running = made.start(processes=2)
    running.until(lambda: bool(made.row().get("records", 0)))
    send(made, parts[1])
    time.sleep(draw.random())
    running.kill()
    running = made.start(processes=2)
    expected = expectation(parts)
    counters = expected.counters()
    counted(made, running, counters["records"])
    running.until(lambda: bool(made.row()["waiting"] == counters["waiting"]))
    running.stop()
    compare(made.out / "outcomes.duckdb", cast("Oracle", expected))
    assert made.row()["session_late"] == counters["session_late"] == 0
    assert counters["outcomes"] > 90
    assert counters["duplicates"] > 3


def expectation(parts: list[list[list[Any]]]) -> Replayed:
    """The oracle, which reads the halves one after the other."""
    rules = Rules(revises=frozenset({"user"}), precedence=("judge",))
    partitions = [[record for half in parts for record in half[number]] for number in range(PARTITIONS)]
    reads = [Read(at, line, one) for at, records in enumerate(partitions) for line, one in enumerate(records)]
    order = sorted(reads, key=lambda read: (read.record.at, read.file, read.line))
    return Replayed(replayed_sessions(rules, order, PARTITIONS))


def test_a_lone_thumb_is_decided_although_nothing_follows(service: Callable[..., Pipeline]) -> None:
    """Within `idle_after`, here 1 s, and `session_wait`, here none of it: all partitions are at their end."""
    made = service(session_wait="30m")
    at = time.time_ns() // 1000 - MINUTE_US
    thumb = Outcome("u1", "", at + 1, "user", success=False)
    send(made, [[Call("c1", at, session_id="s1"), Said("s1", thumb)]])
    running = made.start()
    running.until(lambda: bool(made.row().get("outcomes", 0) == 1))
    running.stop()
    query = "SELECT call_id, outcome_id, success, stands FROM statements"
    assert made.table(query) == [{"call_id": "c1", "outcome_id": "session:u1", "success": False, "stands": True}]
    assert made.table("SELECT verdict FROM calls") == [{"verdict": "failure"}]
