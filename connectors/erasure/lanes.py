"""Replaces the lanes while a stopped pipeline erases calls.

These lanes read nothing and keep their positions; the first one emits the requests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from connectors.batch import Batch, Erase
from connectors.decode.decoder import Decoder

KeptState = dict[str, Any] | None


class EraseLane(StatefulSourcePartition[Batch, KeptState]):
    """Emits one batch without records, or none, and ends."""

    def __init__(self, erase: tuple[Erase, ...], resume_state: KeptState) -> None:
        self._erase, self._state = erase, resume_state

    @override
    def next_batch(self) -> list[Batch]:
        """Emit the requests, if there are any; at the next call raise `StopIteration`."""
        if not self._erase:
            raise StopIteration
        decoder = Decoder(now_us=0, max_future_skew_us=0)
        batch = decoder.decode([], np.zeros(0, np.uint8), np.zeros(0, np.int32), np.zeros(0, np.int64))
        # The clock is where it was when the pipeline was stopped.
        batch.news = False
        batch.erase, self._erase = self._erase, ()
        return [batch]

    @override
    def snapshot(self) -> KeptState:
        """The state as it was resumed."""
        return self._state


class EraseLanes(FixedPartitionedSource[Batch, KeptState]):
    """Stands in for the source of a service, with the same number of lanes, whose states it hands through."""

    def __init__(self, lanes: int, erase: tuple[Erase, ...], state_version: int) -> None:
        """`state_version`: that of the source."""
        self._lanes, self._erase, self.state_version = lanes, erase, state_version

    @override
    def list_parts(self) -> list[str]:
        """The same names as those of `KafkaLanes`."""
        return [f"lane{i:02d}" for i in range(self._lanes)]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: KeptState) -> EraseLane:
        """Build a lane, on the only worker; the first lane gets the requests."""
        return EraseLane(self._erase if for_part == "lane00" else (), resume_state)
