"""The lanes that stand in for those of a stopped service."""

from __future__ import annotations

import pytest

from connectors.batch import Erase
from connectors.erasure.lanes import EraseLanes


def test_lanes_that_read_nothing_keep_their_state() -> None:
    """So the next run goes on where the last one was."""
    lanes = EraseLanes(2, (Erase("r", ("c",)),), 1)
    state = {"version": 1}
    other = lanes.build_part("lanes", "lane01", state)
    with pytest.raises(StopIteration):
        other.next_batch()
    assert other.snapshot() == state
