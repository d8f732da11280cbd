"""What was refused under a setting comes back with `aftercall dead-letters redrive`, once, whatever is killed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from uuid import uuid4

import pytest

from aftercall.records import DeadLetter, TopicOrigin, to_json
from benchmarks.faults.topic_tools import expire
from harness.waiting import until
from kafka.clusters import MockCluster
from kafka.service import Pipeline, rfc3339, toml
from system.commands import aftercall, assert_one_sentence
from system.forks import Fork
from system.runs import environment

Pipelines = Callable[..., Pipeline]
AHEAD = 600
"""Calls of the next hour, and as many outcomes."""
EARLY = 11
"""Outcomes whose calls come only after they have become orphans."""
OFTEN = {"recovery": {"epoch": "1s"}, "snapshot": {"every": "1s"}}


def dead_letters(it: Pipeline, *arguments: str) -> subprocess.CompletedProcess[str]:
    return aftercall(it.folder, "dead-letters", *arguments, "--config", it.folder / "aftercall.toml")


def listed(it: Pipeline, *arguments: str) -> dict[str, Any]:
    done = dead_letters(it, "list", "--json", "--limit", "10000", *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def send_refused(it: Pipeline) -> None:
    """Calls and outcomes of the next hour, outcomes that come before their calls, a large call and one without JSON."""
    now = time.time()
    for i in range(AHEAD):
        call = {"call_id": f"ahead-{i}", "occurred_at": rfc3339(now + 3_000), "task_type": "t", "model": "m"}
        outcome = {"outcome_id": "o", "call_id": f"ahead-{i}", "occurred_at": rfc3339(now + 3_001), "source": "s"}
        key, headers = f"key-{i}", [("trace", b"%d" % i)]
        it.cluster.send(it.topics["calls"], i % 2, key, json.dumps(call), headers)
        it.cluster.send(it.topics["outcomes"], i % 2, key, json.dumps(outcome | {"success": True}), headers)
    large = {"call_id": "large", "occurred_at": rfc3339(now + 3_000), "task_type": "t", "model": "m", "x": "x" * 70_000}
    it.cluster.send(it.topics["calls"], 1, "large", json.dumps(large))
    it.cluster.send(it.topics["calls"], 0, "bad", b"{")
    for i in range(EARLY):
        early = {"outcome_id": "o", "call_id": f"early-{i}", "occurred_at": rfc3339(now - 590), "source": "s"}
        it.cluster.send(it.topics["outcomes"], i % 2, f"early-{i}", json.dumps(early | {"success": False}))
    it.cluster.flush()


def sent_again(it: Pipeline, kind: str) -> list[Any]:
    """Records on a topic that have the header."""
    read = it.cluster.read_all(it.topics[kind])
    return [each for each in read if any(name == "aftercall-redrive" for name, _ in each.headers)]


def killed_while_it_sends(it: Pipeline) -> None:
    """Start a redrive, and kill it once the first of its records is there."""
    command = ("aftercall", "dead-letters", "redrive", "--config", str(it.folder / "aftercall.toml"))
    out, err = it.folder / "killed.out", it.folder / "killed.err"
    redrive = Fork(command, cwd=it.folder, env=environment(), out=out, err=err)
    until(lambda: bool(sent_again(it, "calls")) or redrive.poll() is not None, err.read_text)
    redrive.kill()
    redrive.wait()
    assert sent_again(it, "calls")


@pytest.mark.slow
def test_what_a_setting_refused_is_redriven_and_counted_once_though_it_is_killed_and_half_has_expired(
    pipeline: Pipelines,
) -> None:
    it = pipeline(orphan_wait="1m")
    it.settings |= OFTEN
    it.send(60)
    send_refused(it)
    it.send(60, ago_s=10)  # moves the watermark beyond the wait of the early outcomes
    refused = 2 * AHEAD + EARLY + 2
    running = it.start()
    running.until(lambda: it.row().get("dead_letters", 0) == refused)
    running.stop()
    reasons = {"future": 2 * AHEAD + 1, "orphan": EARLY, "not_json": 1}
    assert listed(it)["counts"] == reasons
    assert listed(it, "--since", "1h")["counts"] == reasons
    assert listed(it, "--since", "2999-01-01T00:00:00Z")["counts"] == {}
    assert listed(it, "--reason", "orphan", "--reason", "not_json")["counts"] == {"orphan": EARLY, "not_json": 1}

    # The calls of the early outcomes are sent at last, the setting is corrected, and partition 1 has expired.
    for i in range(EARLY):
        call = {"call_id": f"early-{i}", "occurred_at": rfc3339(time.time() - 700), "task_type": "t", "model": "m"}
        it.cluster.send(it.topics["calls"], i % 2, f"early-{i}", json.dumps(call))
    it.cluster.flush()
    still = dead_letters(it, "redrive", "--reason", "future")
    assert still.returncode == 3
    assert sent_again(it, "calls") == []
    it.settings["join"]["max_future_skew"] = "2h"
    running = it.start()
    running.until(lambda: it.row().get("calls", 0) == len(it.verdicts) + EARLY)
    running.stop()
    expire(it.cluster.client, it.topics["calls"], 1)
    killed_while_it_sends(it)
    done = dead_letters(it, "redrive")
    assert (done.returncode, done.stderr) == (3, ""), done
    head, _, _ = done.stdout.partition("\nsent again: ")
    assert "would be refused again, not sent (--force sends them): 1" in head
    assert "cannot be sent: 1" in head
    assert "the payload of its dead letter is not all of it" in " ".join(head.split())
    again = dead_letters(it, "redrive", "--reason", "future", "--reason", "orphan")
    assert again.stdout.endswith(f"sent again: 0\nredriven before: {refused - 2:,} (--force sends them again)\n")

    copies = sent_again(it, "calls")
    assert len(copies) >= AHEAD
    for copy in copies:
        number = json.loads(copy.value)["call_id"].removeprefix("ahead-")
        assert (copy.key, copy.partition) == (f"key-{number}".encode(), int(number) % 2)
        kept = () if copy.partition else (("trace", number.encode()),)  # headers expire with their records
        assert copy.headers[:-1] == kept

    running = it.start()
    expected = (len(it.verdicts) + AHEAD + EARLY, it.outcomes + AHEAD + EARLY)
    running.until(lambda: (it.row().get("calls"), it.row().get("outcomes")) == expected)
    # The record without JSON is refused again, if it is forced.
    forced = dead_letters(it, "redrive", "--reason", "not_json", "--force")
    assert "would be refused again, sent all the same (--force): 1" in forced.stdout
    running.until(lambda: it.row().get("dead_letters", 0) == refused + 1)
    running.stop()
    row = it.row()
    assert (row["calls"], row["outcomes"], row["waiting"]) == (*expected, 0)
    assert row["records"] == row["calls"] + row["completed"] + row["outcomes"] + row["duplicates"] + row["dead_letters"]
    found = {r["call_id"]: r["verdict"] for r in it.table("SELECT call_id, verdict FROM calls")}
    ahead = {f"ahead-{i}": "success" for i in range(AHEAD)} | {f"early-{i}": "failure" for i in range(EARLY)}
    assert found == it.verdicts | ahead

    after = listed(it)
    assert after["counts"] == reasons | {"not_json": 2}
    by_id = {letter["event_id"]: letter for letter in after["dead_letters"]}
    (twice,) = [letter for letter in by_id.values() if letter["redriven_of"] is not None]
    assert twice["reason"] == by_id[twice["redriven_of"]]["reason"] == "not_json"
    assert by_id[twice["redriven_of"]]["redriven_to"] is not None
    written = [json.loads(read.value or b"") for read in it.cluster.read_all(it.topics["dead_letters"])]
    (of_decoder,) = {
        w["event_id"]: w["redriven_of"] for w in written if w["reason"] == "not_json" and len(w) == 8
    }.values()
    assert by_id[of_decoder]["reason"] == "not_json"


def orphan_of(it: Pipeline, *headers: tuple[str, bytes]) -> DeadLetter:
    """The dead letter of an outcome with these headers that the join has refused; both are there."""
    topic, offset = it.topics["outcomes"], len(it.cluster.read_all(it.topics["outcomes"]))
    value = json.dumps({"outcome_id": f"o-{offset}", "call_id": "never", "source": "s", "success": True}).encode()
    it.cluster.produce(topic, 0, "never", value, headers)
    letter = DeadLetter.sealed(
        reason="orphan",
        detail="its call did not come",
        origin=TopicOrigin(topic=topic, partition=0, offset=offset),
        size=len(value),
        sha256=sha256(value).hexdigest(),
        payload=None,
    )
    it.cluster.produce(it.topics["dead_letters"], 0, "never", to_json(letter))
    return letter


@pytest.mark.slow
def test_an_orphan_of_a_copy_that_was_sent_and_not_marked_names_the_dead_letter_before_it(
    mock_broker: MockCluster, pipeline: Pipelines
) -> None:
    """The command was killed in between, so that the copy has its header alone."""
    it = pipeline(mock_broker, partitions=1)
    (it.folder / "aftercall.toml").write_text(toml(it.settings))
    first = orphan_of(it, ("trace", b"1"))
    second = orphan_of(it, ("trace", b"1"), ("aftercall-redrive", first.event_id.encode()))
    for letter, before in ((first, None), (second, first.event_id)):
        done = dead_letters(it, "show", letter.event_id, "--json")
        assert (done.returncode, done.stderr) == (0, ""), done
        assert json.loads(done.stdout)["redriven_of"] == before


@pytest.mark.slow
def test_what_is_wrong_with_the_broker_is_one_sentence(pipeline: Pipelines) -> None:
    it = pipeline()
    missing = f"missing-{uuid4().hex}"
    topics = f'[kafka]\nbrokers = "{it.cluster.bootstrap}"\n[kafka.topics]\ndead_letters = "{missing}"\n'
    (it.folder / "aftercall.toml").write_text(topics)
    for command in (("list",), ("show", "f" * 32), ("redrive",)):
        assert_one_sentence(dead_letters(it, *command), 1, f"{missing}: the topic must exist")
