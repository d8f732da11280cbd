"""The source of `aftercall run`: a fixed number of lanes over all partitions of two topics."""

from __future__ import annotations

from collections.abc import Callable

from bytewax.inputs import FixedPartitionedSource
from typing_extensions import override

from connectors.batch import Batch
from connectors.decode.decoder import Decoder
from connectors.kafka.lane import KafkaLane, KafkaLaneState
from connectors.kafka.lane_settings import LaneHooks, LaneSettings
from connectors.kafka.metadata import KafkaWatch


class KafkaLanes(FixedPartitionedSource[Batch, KafkaLaneState]):
    """Partition p of either topic belongs to lane p % lanes: so the records of a call, and its outcomes, share a lane.

    The number of lanes is fixed, unlike that of partitions, so that each keeps its state when the number of processes
    changes, and new partitions find a lane that is there already.
    """

    def __init__(
        self, settings: LaneSettings, decoder: Callable[[], Decoder], watch: KafkaWatch, hooks: LaneHooks
    ) -> None:
        """Prepare the source. `decoder` makes one for each lane; `watch` is started with the first of them."""
        self._settings, self._make_decoder, self._watch, self._hooks = settings, decoder, watch, hooks

    @override
    def list_parts(self) -> list[str]:
        """The lanes."""
        return [f"lane{i:02d}" for i in range(self._settings.lanes)]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: KafkaLaneState | None) -> KafkaLane:
        """Called on the worker that is to read the lane."""
        self._watch.start()
        lane = int(for_part.removeprefix("lane"))
        return KafkaLane(self._settings, lane, self._make_decoder(), self._watch, self._hooks, resume_state)
