"""How far a partition was read, and what it was read from."""

from __future__ import annotations

from typing import Final, NamedTuple

UNKNOWN_ID: Final = ""
UNKNOWN_EPOCH: Final = -1


class Position(NamedTuple):
    """How far a partition was read.

    Attributes:
        offset: after the last record read.
        topic_id: of the topic it was read from; empty if the broker did not report it.
        leader_epoch: of the leader that appended the last record read, -1 if unknown. If a later leader has replaced
            that record (an unclean election), the broker tells by it that the offsets mean other records now.
    """

    offset: int
    topic_id: str = UNKNOWN_ID
    leader_epoch: int = UNKNOWN_EPOCH
