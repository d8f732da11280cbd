"""Texts of calls in a service: they wait for a failure through kills, are shown meanwhile, and are erased."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.texts.call_text import CallText
from connectors.texts.frames import TEXTS, frames_in, texts_of
from harness.texts import kept
from kafka.clusters import MockCluster
from kafka.service import Pipeline
from system.commands import aftercall, assert_one_sentence

CALLS = 40
PLANTED, PERSON = "the planted token", "jane@example"


@pytest.fixture
def pipeline(mock_broker: MockCluster, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Makes pipelines; what still runs is killed."""
    made: list[Pipeline] = []

    def make(**texts: Any) -> Pipeline:
        one = Pipeline(mock_broker, tmp_path)
        one.topics["claims"] = mock_broker.fresh_topic(1, "claims")  # the mock cannot make topics by request
        one.settings |= {"recovery": {"epoch": "1s"}, "snapshot": {"every": "1s"}, "texts": texts}
        one.settings["privacy"] = {"redact": [r"[a-z]+@example"]}
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def _send(made: Pipeline, numbers: range, at: float) -> None:
    for number in numbers:
        call = {"call_id": f"t{number}", "occurred_at": _time(at), "task_type": "t", "model": "m"}
        call |= {"input": f"{PLANTED} {number} of {PERSON}", "output": "an answer"}
        made.cluster.send(made.topics["calls"], 0, f"t{number}", json.dumps(call))
    made.cluster.flush()


def _judge(made: Pipeline, numbers: range, at: float, *, success: bool) -> None:
    for number in numbers:
        outcome = {"outcome_id": f"o-{success}", "call_id": f"t{number}", "source": "s", "success": success}
        outcome |= {"occurred_at": _time(at)}
        made.cluster.send(made.topics["outcomes"], 0, f"t{number}", json.dumps(outcome))
    made.cluster.flush()


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _waiting(made: Pipeline) -> list[CallText]:
    """All texts in the files of the buffer."""
    found = []
    for path in sorted((made.out / "state" / "texts").glob("*.buffer")):
        with path.open("rb") as data:
            frames = [frame for frame in frames_in(data) if frame.kind == TEXTS]
            found += [text for frame in frames for text in texts_of(data, frame) if text is not None]
    return found


def _kept_ids(made: Pipeline) -> set[str]:
    return {text.call_id for text in kept(made.out)}


@pytest.mark.slow
def test_texts_wait_through_kills_for_their_calls_to_fail_and_are_shown_and_erased(
    pipeline: Callable[..., Pipeline],
) -> None:
    made, at = pipeline(keep="failed"), time.time() - 600
    _send(made, range(CALLS), at)
    running = made.start()
    running.until(lambda: made.row().get("calls", 0) == CALLS)
    running.kill()
    assert len(_waiting(made)) >= CALLS
    assert _kept_ids(made) == set()

    _judge(made, range(10), at + 60, success=False)
    _judge(made, range(10, 20), at + 60, success=True)
    running = made.start()
    running.until(lambda: made.row().get("outcomes", 0) == 20)
    assert _kept_ids(made) == {f"t{number}" for number in range(10)}
    _judge(made, range(5), at + 120, success=True)  # they turn back, and their texts stay
    running.until(lambda: made.row().get("outcomes", 0) == 25)
    shown = aftercall(made.folder, "show", "t3", "--snapshot", made.out)
    assert "verdict: success" in shown.stdout
    assert f"input:\n  {PLANTED} 3 of [redacted]" in shown.stdout
    options = ("--config", made.folder / "aftercall.toml", "--out", made.out, "--json")
    erased = aftercall(made.folder, "erase", *options, "--call", "t3", "t30")
    assert (erased.returncode, json.loads(erased.stdout)["removed"]["texts"]) == (0, 2), erased.stderr
    running.stop()

    erased = aftercall(made.folder, "erase", *options, "--call", "t4", "t31")
    assert (erased.returncode, json.loads(erased.stdout)["removed"]["texts"]) == (0, 2), erased.stderr
    assert _kept_ids(made) == {f"t{number}" for number in range(10) if number not in {3, 4}}
    waiting = _waiting(made)
    assert not {text.call_id for text in waiting} & {"t3", "t4", "t30", "t31"}
    assert all(PERSON not in (text.input or "") for text in [*waiting, *kept(made.out)])
    assert made.row()["texts_kept"] == 10

    _judge(made, range(32, 34), at + 60, success=False)
    running = made.start()
    running.until(lambda: made.row().get("outcomes", 0) == 27)
    running.stop()
    assert {"t32", "t33"} <= _kept_ids(made)


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["none", "failed", "sampled", "all"])
def test_a_planted_token_is_in_no_topic_row_log_or_other_file(pipeline: Callable[..., Pipeline], keep: str) -> None:
    made, at = pipeline(keep=keep, sample=0.5), time.time() - 600
    _send(made, range(CALLS), at)
    _judge(made, range(0, CALLS, 2), at + 60, success=False)
    running = made.start()
    running.until(lambda: made.row().get("records", 0) == CALLS + CALLS // 2)
    running.stop()
    for path in made.out.rglob("*"):
        parts = path.relative_to(made.out).parts
        if path.is_file() and parts[0] != "texts" and parts[:2] != ("state", "texts"):
            assert PLANTED.encode() not in path.read_bytes(), path
    for name in ("verdicts", "recommendations", "trust", "alerts", "dead_letters"):
        assert PLANTED not in repr(made.cluster.read_all(made.topics[name])), name
    for table in ("calls", "statements", "dead_letters", "alerts", "pipeline", "pipeline_warnings"):
        assert PLANTED not in repr(made.table(f"SELECT * FROM {table}")), table
    assert PLANTED not in running.printed()
    texts = [*kept(made.out), *_waiting(made)]
    assert bool(texts) == (keep != "none")
    assert all(text.input is not None and PERSON not in text.input and PLANTED in text.input for text in texts)
    if keep != "failed":
        assert not (made.out / "state" / "texts").exists()


@pytest.mark.slow
def test_an_erasure_is_refused_before_it_begins_where_texts_are_under_a_key_that_is_gone(
    pipeline: Callable[..., Pipeline],
) -> None:
    """With that key it is done, and the service never meets a request that it cannot carry out."""
    made, at = pipeline(keep="all", key_file="key"), time.time() - 600
    key = made.folder / "key"
    key.write_bytes(b"k" * 32)
    _send(made, range(3), at)
    running = made.start()
    running.until(lambda: made.row().get("calls", 0) == 3)
    running.stop()
    options = ("--config", made.folder / "aftercall.toml", "--out", made.out, "--json", "--call", "t1")
    key.write_bytes(b"o" * 32)
    refused = aftercall(made.folder, "erase", *options)
    assert_one_sentence(refused, 2, "texts.key_file: must be the key of all files of texts")
    assert not list((made.out / "state" / "erase").glob("*.request*"))
    key.write_bytes(b"k" * 32)
    erased = aftercall(made.folder, "erase", *options)
    assert (erased.returncode, json.loads(erased.stdout)["removed"]["texts"]) == (0, 1), erased.stderr
