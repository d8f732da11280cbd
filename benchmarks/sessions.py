"""Measures the session step alone: time and memory for a call, and for an outcome of a session.

    python -m benchmarks.sessions [CALLS]

It stands before no join yet (docs/decisions/0023-sessions-have-one-owner.md), so this is the step without the dataflow.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
import uuid
from dataclasses import dataclass
from random import Random

import numpy as np
from xxhash import xxh3_64_intdigest

from aftercall.times import HOUR_US, NEVER
from models.sessions import SessionArrivals, SessionCalls, SessionOutcomes, SessionRules, Sessions

BATCH = 20_000
STEP_US = 10_000
"""A hundred calls a second."""
CALLS_PER_SESSION = 5


@dataclass(slots=True)
class Record:
    """A decoded call or outcome, as far as the step reads it."""

    session_id: str
    call_id: str | None
    parent_call_id: str | None = None
    outcome_id: str = ""
    scope: str = "last"
    source: str = "user_feedback"
    author: str | None = None
    success: bool = True
    score: float | None = None
    retract: bool = False
    retracts: str | None = None
    reason: str | None = None
    scorer: str | None = None


def batches(count: int, share: float) -> list[SessionArrivals]:
    """Calls in sessions of five, with an outcome for a `share` of the sessions a minute after their last call."""
    draw = Random(1)
    sessions = [str(uuid.UUID(int=draw.getrandbits(128))) for _ in range(count // CALLS_PER_SESSION)]
    made = []
    for start in range(0, count, BATCH):
        calls = [
            Record(sessions[(i // 100 // CALLS_PER_SESSION * 100 + i % 100) % len(sessions)],
                   str(uuid.UUID(int=draw.getrandbits(128)))) for i in range(start, min(start + BATCH, count))
        ]  # fmt: skip
        said = sorted({call.session_id for call in calls if hash_of(call.session_id) % 1000 < share * 1000})
        made.append(arrivals(calls, said, start))
    return made


def arrivals(calls: list[Record], said: list[str], start: int) -> SessionArrivals:
    """A batch; its outcomes come with its last call."""
    at = (start + np.arange(len(calls))) * STEP_US + HOUR_US
    end = int(at[-1])
    outcomes = [Record(session_id, None, outcome_id=f"{start}-{session_id[:8]}") for session_id in said]
    words = [int(uuid.UUID(call.call_id)) for call in calls]
    return SessionArrivals(
        tasks=["support"],
        partitions=["outcomes/0"],
        sources=["user_feedback"],
        calls=SessionCalls(
            pos=np.arange(len(calls)),
            session=np.array([hash_of(call.session_id) for call in calls], np.uint64),
            key=np.array([hash_of(call.call_id or "") for call in calls], np.uint64),
            at=at,
            task=np.zeros(len(calls), np.int32),
            uuid=np.array([(one >> 64, one & (2**64 - 1)) for one in words], np.uint64),
            records=np.array(calls, np.object_),
            wm=at,
        ),
        outcomes=SessionOutcomes(
            pos=len(calls) + np.arange(len(said)),
            session=np.array([hash_of(session_id) for session_id in said], np.uint64),
            at=np.full(len(said), end),
            call_at=np.full(len(said), NEVER),
            uuid=np.zeros((len(said), 2), np.uint64),
            source=np.zeros(len(said), np.int32),
            success=np.ones(len(said), np.int8),
            score=np.full(len(said), np.nan),
            retract=np.zeros(len(said), np.bool_),
            records=np.array(outcomes, np.object_),
            raw=np.array([b"{}"] * len(said), np.object_),
            partition=np.zeros(len(said), np.int32),
            offset=np.arange(len(said)),
            wm=np.full(len(said), end),
        ),
        passed=np.array([end], np.int64),
        watermark=end,
        ended=False,
    )


def hash_of(text: str) -> int:
    """The hash of an id."""
    return xxh3_64_intdigest(text.encode())


def main(count: int) -> None:
    """Print a line for each share of sessions of which something is said."""
    for share in (0.0, 0.2, 1.0):
        made = batches(count, share)
        records = sum(len(one.calls.key) + len(one.outcomes.at) for one in made)
        tracemalloc.start()
        sessions = Sessions(SessionRules())
        for one in made:
            sessions.process(one)
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        begin, sessions = time.process_time(), Sessions(SessionRules())
        statements = sum(len(sessions.process(one).statements) for one in made)
        spent = time.process_time() - begin
        print(
            f"{share:4.0%} of {len(sessions):,} sessions: {spent / records * 1e6:.2f} us a record, "
            f"{taken / count:.0f} bytes a call, {statements:,} statements"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
