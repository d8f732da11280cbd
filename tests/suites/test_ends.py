"""The laws of what sources and sinks store with an epoch, over a table of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from connectors.decode.decoder import Decoder
from connectors.files.jsonl_sink import JsonlSink
from connectors.files.lane import FileLanes, index
from connectors.kafka.after_epoch import AfterEpoch
from connectors.kafka.client import admin_config, consumer_config
from connectors.kafka.cluster import Cluster
from connectors.kafka.lane import KafkaLane
from connectors.kafka.lane_settings import LaneCallbacks, LaneSettings
from connectors.kafka.metadata import MetadataPoller
from flows.dataflow.snapshot_messages import Tally
from flows.dataflow.snapshot_sink import SnapshotSettings, SnapshotSink
from models import plain
from suites.stored import difference

End = Any
"""A part of a source or a sink: `snapshot` gives its state, `close` lets it go."""
NOW_US = 1_800_000_000_000_000
LINES = [
    json.dumps({"call_id": f"c{n}", "occurred_at": f"2026-03-01T00:00:{n:02}Z", "task_type": "t", "model": "m"})
    for n in range(9)
]


def files(folder: Path, state: Any) -> End:
    """A lane over a file, of which it has read some."""
    (folder / "calls.jsonl").write_text("\n".join(LINES) + "\n")
    lanes = FileLanes(
        index([folder / "calls.jsonl"], [], folder), Decoder(now_us=NOW_US, max_future_skew_us=0), batch_size=4
    )
    lane = lanes.build_part("lanes", lanes.list_parts()[0], state)
    if state is None:
        lane.next_batch()
    return lane


def kafka(folder: Path, state: Any) -> End:
    """A lane that was restored from positions, and has not reached a broker since."""
    address = Cluster(brokers="127.0.0.1:1", group_id="g")
    topics = ("calls", "outcomes")
    settings = LaneSettings(consumer=consumer_config(address), topics=topics, lanes=1, board=folder / "lead")
    positions = {("calls", 0): (12, NOW_US), ("outcomes", 3): (0, -(2**63))}
    kept = {"lanes": 1, "partitions": positions} if state is None else state
    watch = MetadataPoller(admin_config(address), topics, 60.0, lambda: NOW_US)
    return KafkaLane(settings, 0, Decoder(now_us=NOW_US, max_future_skew_us=0), watch, LaneCallbacks(), kept)


def snapshot(folder: Path, state: Any) -> End:
    """The snapshot sink after an epoch."""
    part = SnapshotSink(SnapshotSettings(folder=folder, live=True)).build_part("out", "snapshot", state)
    if state is None:
        part.write_batch([Tally({"records": 3})])
    return part


def jsonl(folder: Path, state: Any) -> End:
    """A file with a line."""
    part = JsonlSink(folder / "out.jsonl").build_part("out", "out.jsonl", state)
    if state is None:
        part.write_batch([[("key", b"{}")]])
    return part


def after_epoch(folder: Path, state: Any) -> End:
    """A block that waits for the end of its epoch, before a file."""
    part = AfterEpoch(JsonlSink(folder / "out.jsonl")).build_part("out", "held", state)  # type: ignore[arg-type]
    if state is None:
        part.write_batch([[("key", b"{}")]])
    return part


ENDS: Final[dict[str, Callable[[Path, Any], End]]] = {
    "files": files,
    "lanes": kafka,
    "snapshot": snapshot,
    "jsonl": jsonl,
    "after_epoch": after_epoch,
}
"""Each is built from nothing, and has then something to store, or from a state."""
EVERY_END = pytest.mark.parametrize("name", list(ENDS))


def stored(name: str, folder: Path, state: Any = None) -> Any:
    """What it stores at the end of an epoch, as the recovery store holds it."""
    end = ENDS[name](folder, state)
    kept = plain.pack(end.snapshot())
    end.close()
    return plain.unpack(kept)


@EVERY_END
def test_one_that_is_restored_stores_what_it_was_restored_from(name: str, tmp_path: Path) -> None:
    state = stored(name, tmp_path)
    assert state
    assert difference(stored(name, tmp_path, state), state) is None
