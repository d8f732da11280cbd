"""What is private, too large, too deep or too many between Kafka topics: nothing of it gets out, and nothing stops."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from benchmarks.kafka_broker import LOSES_NONE
from harness.waiting import HANG_S
from kafka.clusters import MockCluster
from kafka.service import Pipeline

MARK = "jane@example"
"""Stands in every free text; the rule below blots it out, and input and output are not kept."""
DROPPED = "the private question"
MIB = 1024 * 1024


@pytest.fixture
def pipeline(mock_broker: MockCluster, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Makes pipelines; what still runs is killed."""
    made: list[Pipeline] = []

    def make(**sections: dict[str, Any]) -> Pipeline:
        one = Pipeline(mock_broker, tmp_path)
        one.topics["claims"] = mock_broker.fresh_topic(1, "claims")  # the mock cannot make topics by request
        one.settings |= {"recovery": {"epoch": "1s"}, "snapshot": {"every": "1s"}}
        for name, values in sections.items():
            one.settings[name] = one.settings.get(name, {}) | values
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def _call(number: int, **more: Any) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 300))
    return {"call_id": f"c{number}", "occurred_at": at, "task_type": "t", "model": "m"} | more


def _outcome(number: int, **more: Any) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 200))
    return {"outcome_id": "o", "call_id": f"c{number}", "occurred_at": at, "source": "s", "success": True} | more


def _run(made: Pipeline, calls: list[bytes], outcomes: list[bytes]) -> str:
    """Send records, run until all are counted, stop; gives what was logged."""
    producer = Producer(made.cluster.client | LOSES_NONE | {"message.max.bytes": 8 * MIB})
    for topic, records in (("calls", calls), ("outcomes", outcomes)):
        for record in records:
            producer.produce(made.topics[topic], record, "key", 0)
    assert producer.flush(HANG_S) == 0
    running = made.start()
    running.until(lambda: made.row().get("records", 0) >= len(calls) + len(outcomes))
    running.stop()
    return running.printed()


def _written(made: Pipeline, logged: str) -> dict[str, bytes]:
    """Everything that left the pipeline, or that it keeps: topics, files, rows (which may lie compressed), logs."""
    found = {"logs": logged.encode()}
    for name in ("verdicts", "recommendations", "trust", "alerts", "dead_letters"):
        read = made.cluster.read_all(made.topics[name])
        found[name] = b"\n".join((one.key or b"") + b" " + (one.value or b"") for one in read)
    for path in made.out.rglob("*"):
        if path.is_file() and not path.is_symlink():
            found[str(path)] = path.read_bytes()
    for table in ("calls", "statements", "dead_letters", "alerts", "recommendations", "trust", "pipeline"):
        found[f"table {table}"] = repr(made.table(f"SELECT * FROM {table}")).encode()
    return found


def _holding(written: dict[str, bytes], text: str) -> list[str]:
    return [name for name, content in written.items() if text.encode() in content]


@pytest.mark.slow
@pytest.mark.parametrize("kept", [False, True])
def test_private_text_is_in_no_topic_file_table_or_log(
    pipeline: Callable[..., Pipeline],
    kept: bool,  # noqa: FBT001
) -> None:
    """Of accepted, refused, repeated and unreadable records; where payloads are kept, they are redacted."""
    made = pipeline(privacy={"redact": [r"[a-z]+@example"], "keep_payloads": kept})
    texts = {"input": f"{DROPPED} of {MARK}", "output": f"{DROPPED} for {MARK}"}
    free = {"error": f"failed for {MARK}", "attrs": {"who": MARK}}
    calls = [
        _call(1, **texts, **free),
        _call(1, **texts, **free, model="another"),
        _call(2, **texts, latency_ms=f"{MARK}"),
        _call(3, **texts, cost_usd=-1),
        _call(4, **texts),
        {"input": texts["input"], "call_id": "c5"},
    ]
    outcomes = [
        _outcome(4, reason=f"says {MARK}", attrs={"who": MARK}),
        _outcome(4, reason=f"says {MARK}", success=False),
        _outcome(1, outcome_id="p", reason=f"asks {MARK}"),
        _outcome(1, outcome_id="q", reason=f"takes back, {MARK}", action="retract", retracts="p"),
        _outcome(6, reason=f"waits, {MARK}"),
        _outcome(7, score=f"{MARK}"),
    ]
    lines = [json.dumps(record).encode() for record in calls]
    written = _written(made, _run(made, lines, [json.dumps(record).encode() for record in outcomes]))
    assert _holding(written, MARK) == []
    assert bool(_holding(written, DROPPED)) == kept
    assert _holding(written, "[redacted]")
    row = made.row()
    assert (row["calls"], row["outcomes"], row["waiting"], row["dead_letters"]) == (2, 3, 1, 6)


@pytest.mark.slow
def test_what_is_too_large_or_too_deep_is_a_small_dead_letter_and_the_rest_goes_on(
    pipeline: Callable[..., Pipeline],
) -> None:
    """1 MiB and one byte; objects and lists nested 100,000 deep, also where a field is unknown."""
    made = pipeline()
    deep = 100_000
    plain = json.dumps(_call(1)).encode()
    large = json.dumps(_call(2, output="")).encode()
    calls = [
        large.replace(b'"output": ""', b'"output": "' + b"x" * (MIB - len(large)) + b'"'),
        large.replace(b'"c2"', b'"c3"').replace(b'"output": ""', b'"output": "' + b"x" * (MIB - len(large) + 1) + b'"'),
        b"[" * deep + b"]" * deep,
        b'{"a":' * deep + b"1" + b"}" * deep,
        plain.replace(b"}", b', "unknown": ' + b"[" * deep + b"]" * deep + b"}"),
        b"\xff" * 100,
        plain,
    ]
    outcomes = [b"[" * deep, json.dumps(_outcome(1)).encode()]
    _run(made, calls, outcomes)
    row = made.row()
    assert (row["records"], row["calls"], row["outcomes"], row["dead_letters"]) == (9, 2, 1, 6)
    letters = [json.loads(read.value or b"") for read in made.cluster.read_all(made.topics["dead_letters"])]
    reasons = Counter(letter["reason"] for letter in letters)
    assert reasons["too_large"] == 1
    assert reasons["too_deep"] >= 3
    assert reasons["not_utf8"] == 1
    assert reasons.total() == 6
    assert max(len(letter["payload"].encode()) for letter in letters) <= 64 * 1024


@pytest.mark.slow
def test_groups_beyond_the_cap_fold_and_calls_keep_their_names(pipeline: Callable[..., Pipeline]) -> None:
    """One alert reports it, and every call is still counted."""
    made = pipeline(join={"max_groups": 3})
    calls = [json.dumps(_call(i, model=f"m{i}")).encode() for i in range(10)]
    _run(made, calls, [])
    rates = made.table("SELECT model, sum(calls) AS calls FROM rates WHERE grain = '1d' GROUP BY model")
    assert sum(row["calls"] for row in rates) == 10
    assert {row["model"]: int(row["calls"]) for row in rates}["__other__"] == 7
    assert len(made.table("SELECT DISTINCT model FROM calls")) == 10
    assert [row["kind"] for row in made.table("SELECT kind FROM alerts")] == ["group_cap"]
