"""Where a step, a source or a sink may fail by a defect."""

from __future__ import annotations

from typing import Any, Final

import pytest

STEPS: Final = (
    "connectors.decode.decoder:Decoder.decode@1",
    "models.join.join:Join.process@2",
    "models.groups:Groups.process@2",
    "models.drift.detectors:Drift.close@1",
    "models.alerts.alerting:Alerting.close@1",
    "models.routing.routing:Routing.close@1",
    "flows.dataflow.outputs:verdicts@1",
    "flows.dataflow.outputs:cell_history@1",
    "flows.dataflow.stored_state:StoredState.due@2",
    "flows.dataflow.stored_state:StoredState.stored@3",
    "flows.dataflow.manifest:Manifest.plain@2",
    "flows.dataflow.snapshot_sink:SnapshotPartition.write_batch@1",
    "flows.dataflow.snapshot_sink:SnapshotPartition.snapshot@1",
    "flows.dataflow.snapshot_sink:publish_counts@1",
)
"""Functions of the dataflow, and at which call each fails."""
FILES: Final = (
    "connectors.files.lane:FileLane.next_batch@2",
    "connectors.files.lane:FileLane.snapshot@1",
    "connectors.files.jsonl_sink:JsonlPartition.write_batch@1",
    "connectors.files.jsonl_sink:JsonlPartition.snapshot@1",
    "connectors.files.jsonl_sink:JsonlPartition.close@1",
)
KAFKA: Final = (
    "connectors.kafka.lane:KafkaLane.next_batch@3",
    "connectors.kafka.lane:KafkaLane.snapshot@1",
    "connectors.kafka.sink:KafkaPart.write_batch@1",
    "connectors.kafka.sink:KafkaPart.snapshot@1",
    "connectors.kafka.after_epoch:AfterEpochPart.snapshot@1",
    "connectors.segments.sink:SegmentPart.write_batch@1",
    "connectors.segments.sink:SegmentPart.snapshot@1",
)
THREADS: Final = (
    "flows.dataflow.letter_log:LetterLog.log@2",  # in a thread of each process
    "flows.service.wall_clock:WallClock._run@1",  # in one of the process that watches the others
    "connectors.kafka.metadata:MetadataPoller._poll@2",
)
ERRORS: Final = ("KeyError", "MemoryError")


def each_with_an_error(*places: str, first: int = 0) -> list[Any]:
    """Each place with one of the errors, by turns; in `make test` every third place, in `make test-long` the others.

    Args:
        places: of the table above.
        first: number of the error of the first one. Where a replay has each step fail by one error and a service by
            the other one, all pairs are tried.
    """
    return [
        pytest.param(place, ERRORS[(at + first) % 2], marks=[] if at % 3 == 0 else [pytest.mark.long])
        for at, place in enumerate(places)
    ]


def each_with_both_errors(*places: str) -> list[Any]:
    """All pairs, in `make test-long`."""
    return [pytest.param(place, error, marks=[pytest.mark.long]) for place in places for error in ERRORS]
