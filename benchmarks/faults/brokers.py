"""The broker is away, refuses, is gone for good, or takes only small records."""

from __future__ import annotations

import os
import signal
import time
from typing import Final

from benchmarks.faults.findings import Tolerance
from benchmarks.faults.stage import Stage, call, outcome
from benchmarks.faults.topic_tools import delete
from benchmarks.kill_traffic import as_sent

_AWAY_S: Final = 8.0


def broker_dies(stage: Stage) -> None:
    """SIGKILL of the broker under two processes, back after 8 s."""
    stage.started(0.4, processes=2)
    stage.write(0.6)
    stage.broker.kill()
    try:
        stage.paused("broker")
        time.sleep(_AWAY_S)
    finally:
        stage.broker.start()
    stage.write(0.8)
    stage.reads_all()
    stage.ready()
    stage.resumes("broker")
    stage.finish()


def broker_away_at_the_start(stage: Stage) -> None:
    """No broker at the start, for 8 s."""
    stage.write(0.5)
    stage.broker.stop()
    try:
        stage.refused(1, "must answer within 2 s", options=("--wait-for-broker", "2s"))
        stage.start()
        stage.not_ready("broker: it has not answered yet")
        stage.says("waiting for one")
        time.sleep(_AWAY_S)
    finally:
        stage.broker.start()
    stage.reads_all()
    stage.ready()
    stage.finish()


def stopped_while_the_broker_is_away(stage: Stage) -> None:
    """SIGTERM while the broker is away."""
    stage.started(0.4)
    stage.write(0.6)
    stage.broker.kill()
    try:
        stage.says("the broker does not answer")
        stage.pipeline.process.send_signal(signal.SIGTERM)
        # Where something was on its way, that epoch cannot be stored, and it reports that.
        deadline = time.monotonic() + 60
        while stage.pipeline.runs() and time.monotonic() < deadline:
            time.sleep(0.05)
        code, said = stage.pipeline.process.poll(), stage.pipeline.complaints()
        if (code, said) != (0, []) and not (code == 1 and "must be acknowledged" in said[0]):
            stage.findings.add("wrong", f"stopped without a broker: exit code {code}, {said}")
            stage.pipeline.end()
    finally:
        stage.broker.start()
    stage.finish()


def wrong_password(stage: Stage) -> None:
    """A wrong password."""
    stage.started(0.4)
    stage.stop()
    right = dict(stage.settings["kafka.librdkafka"])
    stage.configure("kafka.librdkafka", **{"sasl.password": "the wrong word"})
    stage.refused(1, "credentials", "sasl.password")
    if "the wrong word" in stage.pipeline.output():
        stage.findings.add("wrong", "it prints the password")
    stage.configure("kafka.librdkafka", **right)
    stage.finish()


def topics_missing(stage: Stage) -> None:
    """Topics that do not exist."""
    names = dict(stage.settings["kafka.topics"])
    stage.configure("kafka.topics", outcomes="nowhere", alerts="nor-there")
    stage.refused(1, "missing: nowhere, nor-there", "aftercall topics create")
    stage.configure("kafka.topics", **names)
    stage.finish()


def output_topic_deleted(stage: Stage) -> None:
    """The topic of verdicts is deleted while it runs, and made again."""
    stage.started(0.4)
    delete(stage.broker.client, stage.outputs["verdicts"])
    stage.write(0.6)
    stage.ends(1, stage.outputs["verdicts"], "aftercall topics create")
    stage.broker.topic(stage.outputs["verdicts"], 3)
    stage.tolerance = Tolerance(no_verdicts=True)
    stage.finish()


def output_too_large(stage: Stage) -> None:
    """A verdict that is too large for its topic."""
    delete(stage.broker.client, stage.outputs["verdicts"])
    stage.broker.topic(stage.outputs["verdicts"], 3, {"max.message.bytes": "2000"})
    stage.write(0.4)
    stage.write_these([
        as_sent("calls", call("long", stage.now)),
        as_sent("outcomes", outcome("long", "long", stage.now, success=False, reason=os.urandom(3_000).hex())),
    ])  # fmt: skip
    stage.start()
    stage.says("was shortened")
    stage.tolerance = Tolerance(shortened=frozenset({"long"}))
    stage.finish()


FAULTS: Final = (
    broker_dies, broker_away_at_the_start, stopped_while_the_broker_is_away, topics_missing, output_topic_deleted,
    output_too_large, wrong_password,
)  # fmt: skip
