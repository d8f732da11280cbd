"""The yardstick: what merely decoding the records costs, with msgspec and as few fields as a join needs.

FROZEN. The engine's cost is reported as a share of this; were it changed, shares of different days could not be
compared. Never touch it, not even to make it faster: write another one beside it.
"""

from __future__ import annotations

import msgspec

BATCH = 20_000


class Call(msgspec.Struct, tag="call", tag_field="type", gc=False):
    """A call, as far as a join needs it."""

    call_id: str
    occurred_at: str
    task_type: str
    model: str
    config: str


class Outcome(msgspec.Struct, tag="outcome", tag_field="type", gc=False):
    """An outcome, as far as a join needs it."""

    outcome_id: str
    call_id: str
    occurred_at: str
    success: bool | None = None
    score: float | None = None


def decode(raws: list[bytes]) -> int:
    """Decode all, a batch at a time, keep nothing; returns how many there were."""
    one = msgspec.json.Decoder(Call | Outcome).decode
    done = 0
    for start in range(0, len(raws), BATCH):
        done += len(list(map(one, raws[start : start + BATCH])))
    return done
