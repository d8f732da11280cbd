"""What a step raises is remembered, and nothing is closed after it."""

from __future__ import annotations

import _thread
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import bytewax.operators as op
import pytest
from bytewax.dataflow import Dataflow
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from bytewax.testing import TestingSource

from flows.dataflow.stored_state import Keeping
from flows.runtime.engine import PythonThreadsOnly, execute
from flows.runtime.run_folder import RunError
from flows.runtime.state_store import open_store
from models.state import Envelopes


class Part(StatefulSinkPartition[int, None]):
    def __init__(self, at_close: Exception | None) -> None:
        self._at_close = at_close
        self.closed = self.abandoned = False

    def write_batch(self, values: list[int]) -> None:
        pass

    def snapshot(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True
        if self._at_close is not None:
            raise self._at_close

    def abandon(self) -> None:
        self.abandoned = True


class Sink(FixedPartitionedSink[int, None]):
    def __init__(self, at_close: Exception | None = None) -> None:
        self.part = Part(at_close)

    def list_parts(self) -> list[str]:
        return ["only"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> Part:
        return self.part


def run(folder: Path, sink: Sink, mapper: Any = lambda value: value, source: Any = None) -> None:
    flow = Dataflow("flow")
    numbers = op.map("numbers", op.input("in", flow, source or TestingSource([1, 2, 3])), mapper)
    op.output("out", op.map("keyed", numbers, lambda value: ("only", value)), sink)
    execute(
        flow, folder / "log", epoch=timedelta(days=1), recovery=open_store(folder, Keeping(Envelopes()), begun=False)
    )


def test_a_step_that_fails_ends_the_flow_with_its_own_error_and_nothing_is_published(tmp_path: Path) -> None:
    sink = Sink(at_close=OSError("closed after a failure"))
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, sink, lambda value: 1 // (value - 2))
    assert (sink.part.closed, sink.part.abandoned) == (False, True)


class Lane(StatefulSourcePartition[int, None]):
    """Emits a number, and fails at the next one like a `next` that nothing is left for."""

    def __init__(self, following: Iterator[int]) -> None:
        self._following = following

    def next_batch(self) -> list[int]:
        return self._decoded()

    def _decoded(self) -> list[int]:
        return [next(self._following)]

    def snapshot(self) -> None:
        pass


class Lanes(FixedPartitionedSource[int, None]):
    def list_parts(self) -> list[str]:
        return ["only"]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> Lane:
        return Lane(iter([1]))


def test_a_stop_iteration_that_a_source_has_not_raised_itself_is_a_defect_and_not_the_end_of_the_input(
    tmp_path: Path,
) -> None:
    sink = Sink()
    with pytest.raises(RuntimeError, match="StopIteration"):
        run(tmp_path, sink, source=Lanes())
    assert (sink.part.closed, sink.part.abandoned) == (False, True)


def test_in_a_step_a_stop_iteration_is_a_defect_like_any_other(tmp_path: Path) -> None:
    nothing: list[int] = []
    with pytest.raises(RuntimeError, match="StopIteration"):
        run(tmp_path, Sink(), lambda _: next(iter(nothing)))


def test_an_error_at_the_end_is_raised_and_does_not_abort_the_process(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no room for the last snapshot"):
        run(tmp_path, Sink(at_close=OSError("no room for the last snapshot")))


def test_a_flow_that_ends_well_closes_its_sinks(tmp_path: Path) -> None:
    sink = Sink()
    run(tmp_path, sink)
    assert (sink.part.closed, sink.part.abandoned) == (True, False)


def test_a_thread_of_bytewax_that_panics_late_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Its threads run nothing of Python, and may panic after everything was printed."""
    stream: Any = PythonThreadsOnly(sys.stderr)
    _thread.start_new_thread(stream.write, ("late panic\n",))
    _thread.start_new_thread(lambda: stream.write("another, printed by a hook\n"), ())
    ours = threading.Thread(target=lambda: stream.write("one of ours\n"))
    ours.start()
    ours.join()
    stream.write("the main thread\n")
    time.sleep(0.2)
    assert capsys.readouterr().err == "one of ours\nthe main thread\n"


def test_a_store_that_cannot_be_opened_any_more_is_a_sentence(tmp_path: Path) -> None:
    """As where a process has no file handle left for it."""
    recovery = open_store(tmp_path, Keeping(Envelopes()), begun=False)
    (recovery / "part-0.sqlite3").unlink()
    (recovery / "part-0.sqlite3").mkdir()
    flow = Dataflow("flow")
    op.output("out", op.map("keyed", op.input("in", flow, TestingSource([1])), lambda value: ("only", value)), Sink())
    with pytest.raises(RunError, match=r"recovery: the run must be able to open its state; .*unable to open .*ulimit"):
        execute(flow, tmp_path / "engine.log", epoch=timedelta(0), recovery=recovery)
