"""Provides the source of `aftercall run`: a fixed number of lanes over two topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bytewax.inputs import FixedPartitionedSource
from typing_extensions import override

from connectors.batch import Batch
from connectors.decode.decoder import Decoder
from connectors.kafka.lane import KafkaLane, KafkaLaneState
from connectors.kafka.lane_settings import LaneCallbacks, LaneSettings
from connectors.kafka.metadata import MetadataPoller
from connectors.kafka.position import UNKNOWN_EPOCH, UNKNOWN_ID


def with_unknown_topics(state: KafkaLaneState) -> KafkaLaneState:
    """Version 1 has (offset, clock) of each partition; neither the topic's id nor the leader's epoch."""
    partitions = {
        place: (offset, UNKNOWN_ID, UNKNOWN_EPOCH, clock) for place, (offset, clock) in state["partitions"].items()
    }
    return {**state, "partitions": partitions}


class KafkaLanes(FixedPartitionedSource[Batch, KafkaLaneState]):
    """Assigns partition p of either topic to lane p % lanes, so that a call and its outcomes share a lane.

    The number of lanes is fixed, unlike that of partitions, so that each lane keeps its state when the number of
    processes changes, and a new partition belongs to an existing lane.
    """

    state_version: Final = 2
    state_migrations: Final = {1: with_unknown_topics}

    def __init__(
        self, settings: LaneSettings, decoder: Callable[[], Decoder], poller: MetadataPoller, callbacks: LaneCallbacks
    ) -> None:
        """Prepare the source. `decoder` creates one for each lane; the first lane starts `poller`."""
        self._settings, self._make_decoder, self._poller, self._callbacks = settings, decoder, poller, callbacks

    @override
    def list_parts(self) -> list[str]:
        """The names of the lanes."""
        return [f"lane{i:02d}" for i in range(self._settings.lanes)]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: KafkaLaneState | None) -> KafkaLane:
        """Build a lane, on the worker that reads it."""
        self._poller.start()
        lane = int(for_part.removeprefix("lane"))
        return KafkaLane(self._settings, lane, self._make_decoder(), self._poller, self._callbacks, resume_state)
