"""Records that producers should not send, or send when they should not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Final

from benchmarks.faults.findings import Tolerance
from benchmarks.faults.stage import Stage, call, outcome
from benchmarks.faults.topic_tools import ends, read_from
from benchmarks.kill_traffic import Sent, as_sent

_HOMONYMS: Final = ("tH9qYN2r", "[Pph)%Z")
"""Two ids with one unseeded hash; tests/models/join/test_identity.py says how they were found."""
_BOUND: Final = 1_000
_FLOOD: Final = 10 * _BOUND
_CONFIGS: Final = 3_000
_CAP: Final = 100


def poison(stage: Stage) -> None:
    """Ten thousand records in a row that are no JSON, no UTF-8, no object."""
    stage.write(0.4)
    for values, reason in ((b"\xff{", "not_utf8"), (b'{"call_id": ', "not_json"), (b"[1]", "not_object")):
        stage.write_refused("calls", [values] * 1_700, reason)
        stage.write_refused("outcomes", [values] * 1_700, reason)
    stage.start(processes=2)
    stage.says("dead letters")
    stage.finish()


def producer_ahead(stage: Stage) -> None:
    """Nine of ten records by a producer whose clock is a day ahead, some in 2090."""
    stage.started(0.3)
    tomorrow, in_2090 = time.time() + 86_400, 3_786_912_000.0
    stage.write_refused("calls", [call(f"t-{i}", tomorrow) for i in range(5_000)], "future")
    stage.write_refused("calls", [call(f"c-{i}", in_2090) for i in range(50)], "future")
    stage.says("dead letters", "future")
    stage.write(0.6)
    stage.reads_all()
    stage.ready()
    stage.finish()


def reserved_names(stage: Stage) -> None:
    """Task types, models and configs called * and __other__, sources called call and silence."""
    stage.started(0.3)
    at = stage.now
    names = [
        call(f"r-{field}-{name}", at, **{field: name})
        for field in ("task_type", "model", "config")
        for name in ("*", "__other__")
    ]
    stage.write_refused("calls", names, "reserved_name")
    key, sources = stage.calls[0].key, ("call", "silence", "__other__")
    stage.write_refused("outcomes", [outcome(f"r-{name}", key, at, source=name) for name in sources], "reserved_source")
    stage.says("dead letters")
    stage.finish()


def homonyms(stage: Stage) -> None:
    """Two ids of one hash: the outcome of one must not decide the other."""
    stage.write(0.3)
    at = stage.now
    stage.write_these(as_sent("calls", call(name, at)) for name in _HOMONYMS)
    stage.write_these(as_sent("outcomes", outcome("h", name, at, success=name == _HOMONYMS[0])) for name in _HOMONYMS)
    stage.finish()


def hash_in_config(stage: Stage) -> None:
    """A hash in config: 3,000 groups of a task type where 100 may be."""
    _hashes(stage, "config", "max_groups_per_task")


def hash_in_task_type(stage: Stage) -> None:
    """A hash in task_type: 3,000 task types where 100 may be."""
    _hashes(stage, "task_type", "max_task_types")


def flood_beside_live_calls(stage: Stage) -> None:
    """Ten times as many outcomes of unknown calls as may wait, before live traffic."""
    _flood(stage)
    stage.start()
    stage.write(0.6)
    stage.reads_all()
    stage.ready()
    stage.tolerance = Tolerance(floods=True)
    stage.finish()


def flood_alone(stage: Stage) -> None:
    """The same while no calls come: it waits, says so, and goes on by itself."""
    stage.configure("join", orphan_wait="20s", allowed_lateness="1h")
    _flood(stage)
    stage.start()
    stage.paused("waiting_outcomes")
    stage.reads_all()
    stage.resumes("waiting_outcomes")
    stage.ready()
    stage.tolerance = Tolerance(floods=True)
    stage.finish()


def partition_silent(stage: Stage) -> None:
    """One partition of each topic is written last, after days of all others."""
    stage.write(0.5, last=3)
    stage.start()
    stage.reads_all()
    stage.finish()


def large_records(stage: Stage) -> None:
    """Records of 900 kB, of deep nesting, of a million keys."""
    stage.started(0.3)
    at = stage.now
    stage.write_these([as_sent("calls", call("large", at, input="x" * 900_000))])
    deep = json.dumps(call("deep", at)).encode()[:-1] + b', "attrs": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001
    stage.write_refused("calls", [deep], "too_deep")
    stage.finish()


def redriven_and_killed(stage: Stage) -> None:
    """Records refused under a setting are sent again; the command is killed on the way."""
    stage.configure("join", max_future_skew="5m")
    stage.started(1)
    ahead = time.time() + 3_000
    calls = [call(f"ahead-{i}", ahead) for i in range(1_500)]
    stage.write_refused("calls", calls, "future")
    stage.reads_all()
    stage.stop()
    stage.configure("join", max_future_skew="2h")
    command = [sys.executable, "-m", "aftercall", "dead-letters", "redrive", "--reason", "future"]
    command += ["--config", str(stage.pipeline.config)]
    topic, client = stage.inputs["calls"], stage.broker.client
    before = ends(client, topic)
    redrive = subprocess.Popen(command, cwd=stage.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while ends(client, topic) == before and redrive.poll() is None:
        time.sleep(0.005)
    redrive.kill()
    redrive.wait()
    done = subprocess.run(command, cwd=stage.folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0 or "sent again: " not in done.stdout:
        said = f"{done.returncode}, {done.stdout[-300:]}{done.stderr}"
        stage.findings.add("silent", f"redrive must say what it sent: {said}")
    stage.sent += [Sent(0, "calls", each.partition, each.key, each.value) for each in read_from(client, topic, before)]
    stage.finish()


def _hashes(stage: Stage, name: str, cap: str) -> None:
    stage.configure("join", **{cap: _CAP})
    stage.write(0.3)
    at, names = stage.now, {"task_type": "hashed", "config": "hashed"}
    stage.write_these(as_sent("calls", call(f"hash-{i}", at, **names | {name: f"{i:08x}"})) for i in range(_CONFIGS))
    stage.start()
    stage.reads_all()
    stage.says("__other__")
    stage.tolerance = Tolerance(folded=name)
    stage.finish()


def _flood(stage: Stage) -> None:
    stage.configure("join", max_waiting=_BOUND)
    stage.write(0.3)
    at = stage.now
    stage.write_these(
        as_sent("outcomes", outcome(f"s-{i}", f"stranger-{i}", at + i / _FLOOD, success=True)) for i in range(_FLOOD)
    )


FAULTS: Final = (
    poison, producer_ahead, reserved_names, homonyms, hash_in_config, hash_in_task_type, flood_beside_live_calls,
    flood_alone, partition_silent, large_records, redriven_and_killed,
)  # fmt: skip
