"""The pieces of `aftercall erase`: requests that outlive everybody, rows, free pages, what waits for a broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

from aftercall.errors import StateError
from connectors.batch import Erase
from connectors.erasure.lanes import EraseLanes
from connectors.files.jsonl_sink import JsonlSink
from connectors.kafka.outbox import OutboxSink, send
from connectors.snapshot.erase import names_call, pattern_of, rewrite_of
from connectors.snapshot.store import SnapshotStore
from flows.dataflow.erasing import Erasing
from flows.dataflow.shards import SHARDS, to_shards
from flows.dataflow.snapshot_messages import CallRows, DeadLetterRows, EraseRows
from flows.dataflow.snapshot_sink import SnapshotPartition, SnapshotSettings
from models.messages import Erasure
from system.commands import aftercall, assert_one_sentence

MARK = b"gone-id"


def _call(name: str) -> tuple[Any, ...]:
    return (name, 1_700_000_000_000_000, "t", "m", "v1", None, "s", 12.5, 0.1, 7, None, None)


def _letter(payload: str | None, detail: str = "d") -> dict[str, Any]:
    return {"event_id": "e", "reason": "conflict", "detail": detail, "payload": payload, "received_at": 1}


def _files_with(folder: Path, mark: bytes = MARK) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path.relative_to(folder)) for path in files if mark in path.read_bytes()]


def test_every_call_goes_to_its_own_shard_after_the_batch() -> None:
    """All of a request's calls, each once."""
    lane = EraseLanes(2, (Erase("r", tuple(f"c{i}" for i in range(50))),), 1).build_part("lanes", "lane00", None)
    (batch,) = lane.next_batch()
    messages = to_shards(batch)
    assert all(isinstance(message, Erasure) and message.shard == shard for shard, message in messages)
    assert all(SHARDS[key % 12] == shard for shard, message in messages for key, _ in message.calls)
    assert sorted(name for _, m in messages for _, name in m.calls) == sorted(f"c{i}" for i in range(50))
    with pytest.raises(StopIteration):
        lane.next_batch()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"call_id": "call-1"}', True),
        ("call-1 came again", True),
        ("'call-1'", True),
        ('{"call_id": "call-10"}', False),
        ('{"call_id": "a-call-1"}', False),
        (r'{"call_id": "c\u0061ll-1"}', True),
        (r'{"call_id": "r\u00e9ponse", "cut', True),
        ('{"call_id": "réponse"}', True),
        (r'{"call_id": "c\u0061ll-2"}', False),
        (None, False),
    ],
)
def test_a_dead_letter_names_a_call_as_a_word_of_its_own(text: str | None, named: bool) -> None:  # noqa: FBT001
    assert names_call(text, pattern_of(["call-1", "réponse"])) == named


def test_rows_and_bytes_of_a_call_are_gone_and_all_others_are_there_in_order(tmp_path: Path) -> None:
    """Also after a crash in the middle of writing the file again."""
    store = SnapshotStore(tmp_path)
    store.append_calls([_call("stay"), _call("gone-id"), _call("gone-id-too")])
    for number in range(3):
        rows = [(name, 1_700_000_000_000_000, f"v{number}", None, "s", 1, 1, 0) for name in ("stay", "gone-id")]
        store.append_verdicts(rows)
    store.append_dead_letters([_letter('{"call_id":"gone-id"}'), _letter('{"call_id":"stay"}'), _letter(None)])
    store.commit(1)
    assert store.erase(["gone-id", "unknown"]) == {"calls": 1, "verdicts": 3, "statements": 0, "dead_letters": 1}
    assert store.erase(["gone-id-too"])["calls"] == 1
    rewrite_of(tmp_path / "state" / "live.duckdb").write_bytes(b"half a file")
    store.rewrite()
    assert _files_with(tmp_path) == []
    store.append_verdicts([("stay", 1_700_000_000_000_000, "v3", None, "s", 1, 1, 0)])
    store.commit(2)
    assert store._connection.execute("SELECT verdict FROM verdicts ORDER BY rowid").fetchall() == [
        ("v0",), ("v1",), ("v2",), ("v3",),
    ]  # fmt: skip
    store.close()
    again = SnapshotStore(tmp_path)
    again.resume(1)
    assert again._connection.execute("SELECT count(*) FROM verdicts").fetchall() == [(3,)]
    again.close()


def _partition(folder: Path, erasing: Erasing, state: dict[str, Any] | None = None) -> SnapshotPartition:
    return SnapshotPartition(SnapshotSettings(folder=folder, live=True, erasing=erasing), state)


def test_the_sink_forgets_what_came_in_the_same_epoch_and_gives_a_receipt_once_it_is_safe(tmp_path: Path) -> None:
    """Not before a snapshot without the call is published and two more epochs have begun."""
    erasing = Erasing(tmp_path)
    sink = _partition(tmp_path, erasing)
    request = erasing.requests.submit(["gone-id"])
    # A dead letter takes another way than the rest, and may come after the request.
    sink.write_batch([CallRows([_call("gone-id")]), EraseRows(request.request, ("gone-id",), 1, 2)])
    sink.write_batch([DeadLetterRows([_letter('{"call_id":"gone-id"}')]), CallRows([_call("stay")])])
    receipts = []
    for _ in range(8):
        sink.snapshot()
        receipts.append(erasing.requests.receipt(request.request))
        if sink._running is not None:
            futures.wait([sink._running])
    assert receipts[:2] == [None, None]
    assert receipts[-1] is not None
    assert receipts[-1]["removed"] | {"snapshots": 0} == {
        "held": 1, "waiting": 2, "calls": 1, "verdicts": 0, "statements": 0, "dead_letters": 1, "texts": 0,
        "snapshots": 0,
    }  # fmt: skip
    assert _files_with(tmp_path) == []
    sink.close()


@pytest.mark.parametrize("name", ["versions/1/outcomes.duckdb", "outcomes-1.duckdb"])
def test_older_snapshots_that_hold_the_call_are_dropped(tmp_path: Path, name: str) -> None:
    """Also where the flow ends in the epoch of the request, and in a folder of commit 2f0502d."""
    erasing = Erasing(tmp_path)
    first = _partition(tmp_path, erasing)
    first.write_batch([CallRows([_call("gone-id"), _call("stay")])])
    state = first.snapshot()
    first.close()
    (tmp_path / "versions/1/outcomes.duckdb").rename(tmp_path / name)
    assert name in _files_with(tmp_path)
    second = _partition(tmp_path, erasing, state)
    request = erasing.requests.submit(["gone-id"])
    second.write_batch([EraseRows(request.request, ("gone-id",), 1, 0)])
    second.snapshot()
    second.close()
    erasing.finish()
    assert _files_with(tmp_path) == []
    assert erasing.requests.receipt(request.request) is not None


class _Writer:
    """Takes what is sent; `fails` once."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def open(self) -> None: ...
    def settle(self) -> None: ...
    def close(self) -> None: ...
    def write(self, topic: str, blocks: Any) -> None:
        self.sent += [(topic, record) for block in blocks for record in block]


def test_what_waits_for_a_broker_is_sent_in_order_and_then_gone(tmp_path: Path) -> None:
    """Half a line is of an epoch that was not stored."""
    file = tmp_path / "erase" / "unsent.jsonl"
    verdicts = OutboxSink(file, "v").build_part("s", "p00", None)
    letters = OutboxSink(file, "d").build_part("s", "p00", None)
    verdicts.write_batch([[("é", None)]])
    letters.write_batch([[("", b'{"a": "\xc3\xa9"}')]])
    verdicts.snapshot()
    letters.snapshot()
    with file.open("ab") as half:
        half.write(b'["v", "half')
    writer = _Writer()
    send(file, writer)  # type: ignore[arg-type]
    assert writer.sent == [("v", ("é", None)), ("d", ("", '{"a": "é"}'.encode()))]
    assert not file.exists()


def test_records_for_a_topic_that_need_not_exist_and_does_not_are_dropped(tmp_path: Path) -> None:
    file, writer = tmp_path / "erase" / "unsent.jsonl", _Writer()
    for topic in ("t", "v"):
        part = OutboxSink(file, topic).build_part("s", "p00", None)
        part.write_batch([[(topic, b"1")]])
        part.snapshot()
    send(file, writer, absent=["t"])  # type: ignore[arg-type]
    assert [topic for topic, *_ in writer.sent] == ["v"]
    assert not file.exists()


def test_what_waits_for_a_broker_is_damaged_and_nothing_is_sent(tmp_path: Path) -> None:
    file, writer = tmp_path / "erase" / "unsent.jsonl", _Writer()
    part = OutboxSink(file, "v").build_part("s", "p00", None)
    part.write_batch([[("a", None), ("b", b"1")]])
    part.snapshot()
    data = file.read_bytes()
    for at in range(len(data)):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        if at == len(data) - 1:
            continue  # a last line without its end is of an epoch that was not stored
        with pytest.raises(StateError, match=r"unsent\.jsonl: must be as `aftercall erase` wrote it; it is damaged"):
            send(file, writer)  # type: ignore[arg-type]
    assert writer.sent == []


def test_half_a_line_spoils_no_line_that_is_written_after_it(tmp_path: Path) -> None:
    file, writer = tmp_path / "erase" / "unsent.jsonl", _Writer()
    file.parent.mkdir()
    file.write_bytes(b'["v", "a", null]\n["v", "half')
    part = OutboxSink(file, "v").build_part("s", "p00", None)
    part.write_batch([[("b", None)]])
    part.snapshot()
    send(file, writer)  # type: ignore[arg-type]
    assert writer.sent == [("v", ("a", None)), ("v", ("b", None))]


def test_a_file_of_records_has_no_tombstones(tmp_path: Path) -> None:
    part = JsonlSink(tmp_path / "verdicts.jsonl").build_part("s", "p", None)
    part.write_batch([[("a", b"1"), ("b", None), ("c", b"2")]])
    part.close()
    assert (tmp_path / "verdicts.jsonl").read_bytes() == b"1\n2\n"


def _kafka_run(out: Path, **known: Any) -> None:
    (out / "state").mkdir(parents=True)
    run = {"version": 1, "fingerprint": "kafka id agent.calls agent.outcomes 6", "deciding": {}, "finished": False}
    text = json.dumps(run | known)
    (out / "state" / "run.json").write_text(text[:9] if "broken" in known else text)


@pytest.mark.parametrize(
    ("prepare", "arguments", "code", "part"),
    [
        (lambda _: None, [], 2, "one of them must be given"),
        (lambda _: None, ["--call"], 2, "must be followed by an id"),
        (lambda _: None, ["--call", "x" * 129], 2, "must have 1 to 128 characters; got 129"),
        (lambda _: None, ["--call", "a", "--within", "soon"], 2, "--within:"),
        (lambda _: None, ["--call", "a"], 2, "must hold the state of a run"),
        (lambda out: _kafka_run(out, broken=True), ["--call", "a"], 1, "must be readable"),
        (lambda out: _kafka_run(out, fingerprint="1f"), ["--call", "a"], 2, "it is that of a replay"),
        (lambda out: _kafka_run(out, deciding={"join": {}}), ["--call", "a"], 2, "was started under other settings"),
    ],
)
def test_what_cannot_be_erased_is_refused_in_one_sentence(
    tmp_path: Path, prepare: Callable[[Path], None], arguments: list[str], code: int, part: str
) -> None:
    out = tmp_path / "out"
    prepare(out)
    assert_one_sentence(aftercall(tmp_path, "erase", "--out", out, *arguments), code, part)


def test_sessions_need_calls_in_the_snapshot(tmp_path: Path) -> None:
    from flows.settings.loading import load

    out = tmp_path / "out"
    _kafka_run(out, deciding=load().deciding(), settings=load().effective())
    done = aftercall(tmp_path, "erase", "--out", out, "--session", "s", AFTERCALL_SNAPSHOT__CALLS="none")
    assert_one_sentence(done, 2, "--session", 'snapshot.calls is "none"')
