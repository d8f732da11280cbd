"""Records go once their epoch is stored: after a crash nothing has been sent that is not sent again."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from connectors.block import Block
from connectors.kafka.after_epoch import AfterEpoch


class Part(StatefulSinkPartition[Block, None]):
    def __init__(self, sent: list[str]) -> None:
        self._sent = sent

    def write_batch(self, values: list[Block]) -> None:
        self._sent.extend(key for block in values for key, _ in block)

    def snapshot(self) -> None:
        pass


class Sink(FixedPartitionedSink[Block, None]):
    def __init__(self) -> None:
        self.sent: list[str] = []

    def list_parts(self) -> list[str]:
        return ["p00", "p01"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> Part:
        return Part(self.sent)


def block(name: str) -> Block:
    return [(name, b"{}")]


def test_what_an_epoch_brought_goes_with_the_first_sign_of_a_later_one() -> None:
    inner = Sink()
    sink = AfterEpoch(inner)
    part = sink.build_part("step", "held", None)
    part.write_batch([block("a"), []])
    part.write_batch([block("b")])
    assert part.snapshot() == [block("a"), block("b")]
    assert inner.sent == []
    part.write_batch([[]])
    assert inner.sent == ["a", "b"]
    assert part.snapshot() == []


def test_what_was_stored_and_perhaps_not_sent_goes_first_after_a_start() -> None:
    inner = Sink()
    part = AfterEpoch(inner).build_part("step", "held", [block("a")])
    part.write_batch([block("b")])
    assert inner.sent == ["a"]
    assert part.snapshot() == [block("b")]


def test_at_the_end_the_rest_goes_once() -> None:
    inner = Sink()
    sink = AfterEpoch(inner)
    sink.finish()  # the part is in another process
    part = sink.build_part("step", "held", None)
    part.write_batch([block("a")])
    part.snapshot()
    part.write_batch([block("b")])  # of an epoch that never ends
    part.close()
    sink.finish()
    sink.finish()
    assert inner.sent == ["a"]


class Numbers(StatefulSourcePartition[str, int]):
    """A record per call, one epoch each; `run` marks the run, as another turn of reading would."""

    def __init__(self, run: str, at: int, dies_at: int | None) -> None:
        self._run, self._at, self._dies_at = run, at, dies_at

    def next_batch(self) -> list[str]:
        if self._at == self._dies_at:
            raise KeyError("killed")
        if self._at == 6:
            raise StopIteration
        self._at += 1
        return [f"{self._run}{self._at}"]

    def snapshot(self) -> int:
        return self._at


class Source(FixedPartitionedSource[str, int]):
    def __init__(self, run: str, dies_at: int | None) -> None:
        self._run, self._dies_at = run, dies_at

    def list_parts(self) -> list[str]:
        return ["only"]

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Numbers:
        return Numbers(self._run, resume_state or 0, self._dies_at)


@pytest.mark.parametrize("epoch", [timedelta(0), timedelta(days=1)], ids=["an epoch per record", "one epoch"])
def test_after_a_crash_nothing_was_emitted_that_does_not_stand(tmp_path: Path, epoch: timedelta) -> None:
    init_db_dir(tmp_path, 1)
    inner = Sink()

    def run(name: str, dies_at: int | None) -> AfterEpoch:
        sink = AfterEpoch(inner)
        flow = Dataflow("flow")
        blocks: Any = op.map("blocks", op.input("in", flow, Source(name, dies_at)), lambda one: ("x", block(one)))
        op.output("out", blocks, sink)
        cli_main(flow, epoch_interval=epoch, recovery_config=RecoveryConfig(tmp_path))
        return sink

    with pytest.raises(BytewaxRuntimeError):
        run("a", dies_at=4)
    sent_before_crash = list(inner.sent)
    run("b", dies_at=None).finish()
    numbers = [one[1:] for one in inner.sent]
    assert sorted(set(numbers)) == ["1", "2", "3", "4", "5", "6"]
    assert len(set(inner.sent)) == 6, "the second run emits one of the first run otherwise"
    assert set(sent_before_crash) <= set(inner.sent)
    if epoch:
        assert sent_before_crash == []
    else:
        assert sent_before_crash, "the first run must have sent something before it died"
