"""`aftercall erase` beside a running pipeline and on a stopped one: nothing that names the call remains on disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka.clusters import Cluster, RealCluster
from kafka.service import Pipeline
from system.commands import aftercall
from system.runs import environment

GONE = "gone-0000-private"
UUID = "01957b3e-5c00-7000-8000-0123456789ab"
OTHER = "stay-0000-private"
CONTRACT = 'contract = "t"\nversion = "1"\nrule = [{ id = "fast", type = "latency", max = 500, severity = "minor" }]\n'
"""Which the calls to be erased violate, and the one beside them."""
MARKS = (b"gone-", UUID.encode(), bytes.fromhex("80000123456789ab")[::-1], b"secret", b"session-gone")


@pytest.fixture
def pipeline(real_broker: RealCluster, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Makes pipelines; what still runs is killed."""
    made: list[Pipeline] = []

    def make() -> Pipeline:
        made.append(Pipeline(real_broker, tmp_path))
        made[-1].settings["recovery"] = {"epoch": "1s"}
        made[-1].settings["snapshot"] = {"every": "1s"}
        (tmp_path / "contracts").mkdir(exist_ok=True)
        (tmp_path / "contracts" / "t.toml").write_text(CONTRACT)
        return made[-1]

    yield make
    for one in made:
        one.close()


def _send_private(pipeline: Pipeline) -> None:
    """Calls to be erased, with all that can be known of them, and one beside them that stays; also early outcomes."""
    at = time.time() - 300
    for name, mark, session in ((GONE, "secret", "gone"), (UUID, "secret", "gone"), (OTHER, "open", "stay")):
        call: dict[str, Any] = {"call_id": name, "occurred_at": _time(at), "task_type": "t", "model": "m"}
        call |= {"session_id": f"session-{session}", "attrs": {"who": mark}, "latency_ms": 900}
        pipeline.cluster.send(pipeline.topics["calls"], 0, name, json.dumps(call))
        pipeline.cluster.send(pipeline.topics["calls"], 0, name, json.dumps(call | {"model": "another"}))
        for number in range(2 if name != UUID else 0):
            outcome = {"outcome_id": f"{mark}-{number}", "call_id": name, "source": "s", "success": number == 0}
            outcome |= {"occurred_at": _time(at + 1), "reason": f"{mark} reason {number}"}
            pipeline.cluster.send(pipeline.topics["outcomes"], 0, name, json.dumps(outcome))
    early = {"outcome_id": "secret-early", "call_id": "gone-early", "source": "s", "success": True}
    pipeline.cluster.send(pipeline.topics["outcomes"], 0, "gone-early", json.dumps(early | {"occurred_at": _time(at)}))
    pipeline.cluster.flush()


def _speak_of_session(pipeline: Pipeline) -> None:
    """What reached a call, what contradicts it, and what waits, as no call of the session was before it."""
    at = time.time() - 300
    for name, seconds, success in (("reached", 2, True), ("reached", 2, False), ("early", -60, False)):
        said = {"outcome_id": f"secret-{name}", "session_id": "session-gone", "source": "s", "success": success}
        said |= {"occurred_at": _time(at + seconds), "reason": "secret reason"}
        pipeline.cluster.send(pipeline.topics["outcomes"], 0, "session-gone", json.dumps(said))
    pipeline.cluster.flush()


SENT = 11
SAID = 3
NAMES = (GONE, UUID, "gone-early")


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def _erase(pipeline: Pipeline, *arguments: str, **settings: str) -> dict[str, Any]:
    options = ("--config", pipeline.folder / "aftercall.toml", "--out", pipeline.out, "--json")
    done = aftercall(pipeline.folder, "erase", *options, *arguments, **settings)
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _holding(pipeline: Pipeline) -> list[tuple[str, bytes]]:
    """Files under the output folder that hold a mark."""
    found = []
    for path in sorted(pipeline.out.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [(str(path.relative_to(pipeline.out)), mark) for mark in MARKS if mark in content]
    return found


def _others(pipeline: Pipeline) -> dict[str, list[Any]]:
    """All rows that are of other calls."""
    kept = " WHERE call_id NOT IN ('" + "', '".join(NAMES) + "') ORDER BY ALL"
    return {name: pipeline.table(f"SELECT * FROM {name}{kept}") for name in ("calls", "statements", "checks")}


def _assert_gone(pipeline: Pipeline, others: dict[str, list[Any]], erased: int = 1) -> None:
    assert _holding(pipeline) == []
    _assert_sums(pipeline)
    assert _others(pipeline) == others
    assert [check["call_id"] for check in pipeline.table("FROM checks")] == [OTHER], "that of another call stays"
    (counted,) = pipeline.table("SELECT sum(failed) AS failed FROM check_rates WHERE grain = '1h'")
    assert counted["failed"] == 3, "counts identify no call"
    row = pipeline.row()
    # One was decided, the other pending; what waited is a dead letter.
    assert (row["calls"], row["expired"], row["waiting"]) == (3 + len(pipeline.verdicts), 1, 0)
    letters = pipeline.table("SELECT reason, payload FROM dead_letters ORDER BY reason")
    assert [letter["reason"] for letter in letters] == ["conflict"] + erased * ["erased"]
    assert {letter["payload"] for letter in letters[1:]} == {None}


def _assert_sums(pipeline: Pipeline) -> None:
    """Of docs/reference.md, section 4; the rates still count what was erased."""
    row = pipeline.row()
    taken = ("calls", "completed", "outcomes", "duplicates", "waiting", "dead_letters")
    verdicts = ("pending", "successes", "failures", "expired")
    assert row["records"] == sum(row[name] for name in taken), row
    assert row["calls"] + row["attempts"] == sum(row[name] for name in verdicts), row
    sums = ", ".join(f"sum({name}) AS {name}" for name in verdicts)
    (rates,) = pipeline.table(f"SELECT {sums} FROM rates WHERE grain = '1d'")
    assert rates == {name: row[name] for name in rates}


def _newest(cluster: Cluster, topic: str) -> dict[str, bytes | None]:
    return {(read.key or b"").decode(): read.value for read in cluster.read_all(topic)}


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_running_pipeline_forgets_a_call_and_goes_on(pipeline: Callable[..., Pipeline], processes: int) -> None:
    """State, snapshots, live database and recovery store hold nothing of it; the topic has a tombstone."""
    made = pipeline()
    made.send(30)
    _send_private(made)
    running = made.start(processes=processes)
    running.until(lambda: made.row().get("records", 0) >= made.records + SENT)
    assert _holding(made)
    others = _others(made)
    result = _erase(made, "--call", *NAMES)
    assert (result["calls"], result["sent"], result["scrubbed"]) == (3, True, True)
    removed = result["removed"]
    assert (removed["held"], removed["waiting"], removed["calls"], removed["dead_letters"]) == (2, 1, 2, 2)
    _assert_gone(made, others)
    newest = _newest(made.cluster, made.topics["verdicts"])
    assert (newest[GONE], newest[UUID], newest["gone-early"]) == (None, None, None)
    assert newest[OTHER] is not None
    again = _erase(made, "--call", *NAMES)
    assert set(again["removed"].values()) - {again["removed"]["snapshots"]} <= {0}
    made.send(30)
    running.until(lambda: made.row()["records"] >= made.records + SENT)
    running.stop()
    _assert_sums(made)
    assert made.row()["calls"] == 60 + 3


@pytest.mark.slow
def test_a_stopped_pipeline_forgets_the_calls_of_a_session_without_a_broker(
    pipeline: Callable[..., Pipeline],
) -> None:
    """What is for the topics waits for the next start, which goes on where the pipeline was.

    What was said of the session and waits is a dead letter without key and payload; what had reached a call went with
    the call, and the dead letter of what contradicted it with the session.
    """
    made = pipeline()
    made.send(30)
    _send_private(made)
    running = made.start()
    running.until(lambda: made.row().get("records", 0) >= made.records + SENT)
    _speak_of_session(made)
    reached = "SELECT call_id FROM statements WHERE outcome_id = 'session:secret-reached'"
    running.until(lambda: made.row()["records"] == made.records + SENT + SAID and bool(made.table(reached)))
    running.stop()
    assert (made.table(reached)[0]["call_id"] in {GONE, UUID}, made.row()["waiting"]) == (True, 2)
    others = _others(made)
    result = _erase(made, "--session", "session-gone", AFTERCALL_KAFKA__BROKERS="127.0.0.1:1")
    assert (result["calls"], result["sent"], result["scrubbed"]) == (2, False, True)
    removed = result["removed"]
    # Outcomes about a call, its dead letter and that of the session; and what waited in the session.
    assert (removed["held"], removed["waiting"], removed["dead_letters"]) == (2, 1, 3)
    _erase(made, "--call", "gone-early", AFTERCALL_KAFKA__BROKERS="127.0.0.1:1")
    assert {name for name, _ in _holding(made)} == {"state/erase/unsent.jsonl"}
    running = made.start()
    made.send(30)
    running.until(lambda: made.row()["records"] >= made.records + SENT + SAID)
    _assert_gone(made, _others(made), erased=2)
    assert {r["call_id"] for r in others["calls"]} <= {r["call_id"] for r in _others(made)["calls"]}
    newest = _newest(made.cluster, made.topics["verdicts"])
    assert (newest[GONE], newest[UUID]) == (None, None)
    letters = [(read.key, json.loads(read.value or b"")) for read in made.cluster.read_all(made.topics["dead_letters"])]
    erased = [(key or b"", letter["payload"]) for key, letter in letters if letter["reason"] == "erased"]
    assert erased == [(b"", None)] * 2
    running.stop()
    assert made.row()["calls"] == 60 + 3


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.3, *(pytest.param(later, marks=pytest.mark.long) for later in (1.5, 2.5))])
def test_a_kill_at_any_moment_of_an_erasure_leaves_it_to_be_done_again(
    pipeline: Callable[..., Pipeline], after_s: float
) -> None:
    """The request outlives both the command and the pipeline; the next one to start does it."""
    made = pipeline()
    made.send(30)
    _send_private(made)
    running = made.start()
    running.until(lambda: made.row().get("records", 0) >= made.records + SENT)
    others = _others(made)
    command = [sys.executable, "-m", "aftercall", "erase", "--config", str(made.folder / "aftercall.toml")]
    with subprocess.Popen(
        [*command, "--out", str(made.out), "--call", *NAMES],
        env=environment(),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as erasing:
        requests = made.out / "state" / "erase"
        running.until(lambda: requests.exists() and any(requests.iterdir()))
        time.sleep(after_s)
        running.kill()
        os.killpg(erasing.pid, signal.SIGKILL)
        erasing.wait()
    running = made.start()
    running.until(made.all_counted)
    running.until(lambda: not list(requests.glob("*.request.json")))
    running.stop()
    # As documented: free pages are clean after the next start, or the next erasure.
    _erase(made, "--call", "gone-unknown")
    _assert_gone(made, others)
