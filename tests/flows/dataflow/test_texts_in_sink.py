"""Texts in the snapshot sink: under its cuts, in its counts, and gone with an erased call before its receipt."""

from __future__ import annotations

from concurrent import futures
from datetime import timedelta
from itertools import count
from pathlib import Path

import duckdb

from aftercall.times import DAY_US, NEVER
from connectors.texts.pieces import pieces_in
from connectors.texts.store import TextSettings
from flows.dataflow.erasing import Erasing
from flows.dataflow.snapshot_messages import Clock, EraseRows, FailedCalls, TextRows
from flows.dataflow.snapshot_sink import SnapshotPartition, SnapshotSettings, State
from harness.texts import NOON, call_text, first_text, kept, rest_text, together
from models import plain


def partition(out: Path, state: State | None = None, erasing: Erasing | None = None) -> SnapshotPartition:
    settings = SnapshotSettings(
        folder=out,
        live=True,
        every=timedelta(0),
        texts=TextSettings(only_failed=True),
        monotonic=count(step=10).__next__,
        erasing=erasing,
    )
    return SnapshotPartition(settings, state)


def published(out: Path) -> tuple[int, ...]:
    with duckdb.connect(str((out / "outcomes.duckdb").resolve()), read_only=True) as snapshot:
        query = "SELECT texts_kept, texts_aged_out, texts_pushed_out FROM pipeline"
        return snapshot.execute(query).fetchall()[0]


def test_a_run_that_resumes_at_an_older_state_counts_and_keeps_each_text_once(tmp_path: Path) -> None:
    first = partition(tmp_path)
    first.write_batch([Clock(NOON, NEVER, {}), TextRows([call_text(1), call_text(2)])])
    state = plain.unpack(plain.pack(first.snapshot()))
    failed = FailedCalls([call_text(1)[:2]])
    first.write_batch([failed, TextRows([call_text(3)])])
    first.snapshot()
    first.abandon()
    assert kept(tmp_path) == [call_text(1)]
    second = partition(tmp_path, state)
    assert kept(tmp_path) == []
    second.write_batch([failed, TextRows([call_text(3)])])
    second.snapshot()
    second.write_batch([Clock(NOON + 3 * DAY_US, NEVER, {})])
    second.snapshot()
    second.write_batch([TextRows([call_text(5, NOON + 3 * DAY_US)])])
    second.snapshot()
    second.close()
    assert kept(tmp_path) == [call_text(1)]
    assert published(tmp_path) == (1, 2, 0)


def test_the_receipt_of_an_erasure_counts_the_texts_that_are_gone_by_then(tmp_path: Path) -> None:
    """Of a text that is kept, of one that waits, and of one that came and failed in the same epoch as the request."""
    erasing = Erasing(tmp_path)
    sink = partition(tmp_path, erasing=erasing)
    sink.write_batch([Clock(NOON, NEVER, {}), TextRows([call_text(1), call_text(2), call_text(3)])])
    sink.write_batch([FailedCalls([call_text(1)[:2], call_text(3)[:2]])])
    sink.snapshot()
    request = erasing.requests.submit(["call-1", "call-2", "call-4"])
    sink.write_batch([TextRows([call_text(4)]), FailedCalls([call_text(4)[:2]])])
    sink.write_batch([EraseRows(request.request, ("call-1", "call-2", "call-4"), 3, 0)])
    for _ in range(8):
        sink.snapshot()
        if (receipt := erasing.requests.receipt(request.request)) is not None:
            break
        if sink._running is not None:
            futures.wait([sink._running])
    assert receipt is not None
    assert receipt["removed"]["texts"] == 3
    assert kept(tmp_path) == [call_text(3)]
    sink.write_batch([FailedCalls([call_text(2)[:2]])])
    sink.snapshot()
    assert kept(tmp_path) == [call_text(3)]
    sink.close()


def test_the_end_of_a_call_that_has_failed_is_kept_after_a_resume_and_erased_with_its_start(tmp_path: Path) -> None:
    first = partition(tmp_path)
    first.write_batch([Clock(NOON, NEVER, {}), TextRows([first_text(1)]), FailedCalls([first_text(1)[:2]])])
    state = plain.unpack(plain.pack(first.snapshot()))
    first.abandon()
    erasing = Erasing(tmp_path)
    second = partition(tmp_path, state, erasing)
    second.write_batch([TextRows([rest_text(1), rest_text(2)])])
    second.snapshot()
    assert kept(tmp_path) == [together(first_text(1), rest_text(1))]
    request = erasing.requests.submit(["call-1"])
    second.write_batch([EraseRows(request.request, ("call-1",), 1, 0)])
    for _ in range(8):
        if second._running is not None:
            futures.wait([second._running])
        second.snapshot()
    receipt = erasing.requests.receipt(request.request)
    assert receipt is not None
    assert receipt["removed"]["texts"] == 1
    assert kept(tmp_path) == []
    second.close()


def test_files_are_merged_beside_the_dataflow_after_a_publication(tmp_path: Path) -> None:
    sink = partition(tmp_path)
    for number in range(20):
        text = call_text(number, NOON)
        sink.write_batch([Clock(NOON + DAY_US, NEVER, {}), TextRows([text]), FailedCalls([text[:2]])])
        sink.snapshot()
        if sink._running is not None:
            futures.wait([sink._running])
    sink.close()
    assert len(kept(tmp_path)) == 20
    current, _ = pieces_in(tmp_path / "texts" / "2024-10-04")
    assert len(current) <= 3
