"""Measures the session step alone: time and memory for a call, and for an outcome of a session.

    python -m benchmarks.sessions [CALLS]

Calls come in sessions of five, a hundred a second, a share of them with an outcome of their session half a second
later, in batches of one shard. `slow`: the same with all outcomes record by record.
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

from aftercall.times import DAY_US, HOUR_US, NEVER
from models.sessions import SessionArrivals, SessionCalls, SessionOutcomes, SessionRules, Sessions

BATCH = 4_000
STEP_US = 10_000
"""A hundred calls a second."""
CALLS_PER_SESSION = 5
SESSIONS_AT_ONCE = 100
LATER_US = 500_000
RAW = (
    b'{"outcome_id": "", "session_id": "", "occurred_at": "", "source": "user_feedback", "success": true}' + b" " * 100
)


@dataclass(slots=True)
class Record:
    """A decoded call or outcome, as far as the step reads it."""

    session_id: str
    call_id: str | None
    parent_call_id: str | None = None
    outcome_id: str = ""
    scope: str | None = None
    source: str = "user_feedback"
    author: str | None = None
    success: bool = True
    score: float | None = None
    retract: bool = False
    retracts: str | None = None
    reason: str | None = None
    scorer: str | None = None


def batches(count: int, share: float) -> list[SessionArrivals]:
    """`count` calls, and outcomes for a `share` of them, in order of time."""
    draw = Random(1)
    sessions = [_uuid(draw) for _ in range(count // CALLS_PER_SESSION + SESSIONS_AT_ONCE)]
    read = []
    for i in range(count):
        turn, place = divmod(i, SESSIONS_AT_ONCE)
        session = sessions[turn // CALLS_PER_SESSION * SESSIONS_AT_ONCE + place]
        at = HOUR_US + i * STEP_US
        read.append((at, 0, Record(session, _uuid(draw))))
        if draw.random() < share:
            read.append((at + LATER_US, 1, Record(session, None, outcome_id=_uuid(draw))))
    read.sort(key=lambda one: one[:2])
    # At the end a call of another day, so that all is due.
    read.append((read[-1][0] + DAY_US, 0, Record(_uuid(draw), _uuid(draw))))
    return [_batch(read[start : start + BATCH]) for start in range(0, len(read), BATCH)]


def _uuid(draw: Random) -> str:
    return str(uuid.UUID(int=draw.getrandbits(128)))


def _batch(read: list[tuple[int, int, Record]]) -> SessionArrivals:
    at = np.array([time for time, _, _ in read])
    is_outcome = np.array([kind == 1 for _, kind, _ in read])
    (of_calls,), (of_outcomes,) = (~is_outcome).nonzero(), is_outcome.nonzero()
    calls, outcomes = ([read[i][2] for i in places.tolist()] for places in (of_calls, of_outcomes))
    end, count = int(at[-1]), len(outcomes)
    return SessionArrivals(
        tasks=["support"],
        partitions=["outcomes/0"],
        sources=["user_feedback"],
        calls=SessionCalls(
            pos=of_calls,
            session=_hashes([call.session_id for call in calls]),
            key=_hashes([call.call_id or "" for call in calls]),
            at=at[of_calls],
            task=np.zeros(len(calls), np.int32),
            uuid=_words([call.call_id or "" for call in calls]),
            records=np.array(calls, np.object_),
            wm=at[of_calls],
        ),
        outcomes=SessionOutcomes(
            pos=of_outcomes,
            session=_hashes([one.session_id for one in outcomes]),
            at=at[of_outcomes],
            call_at=np.full(count, NEVER),
            uuid=_words([one.outcome_id for one in outcomes]),
            source=np.zeros(count, np.int32),
            success=np.ones(count, np.int8),
            score=np.full(count, np.nan),
            retract=np.zeros(count, np.bool_),
            records=np.array(outcomes, np.object_),
            raw=np.array([RAW] * count, np.object_),
            partition=np.zeros(count, np.int32),
            offset=of_outcomes,
            wm=at[of_outcomes],
        ),
        passed=np.array([end], np.int64),
        watermark=end,
        ended=False,
    )


def _hashes(texts: list[str]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array([xxh3_64_intdigest(text.encode()) for text in texts], np.uint64)


def _words(ids: list[str]) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    numbers = [uuid.UUID(one).int for one in ids]
    return np.array([(one >> 64, one & (2**64 - 1)) for one in numbers], np.uint64).reshape(-1, 2)


def main(count: int) -> None:
    """Print a line for each share of calls of which something is said, and one for the slow path."""
    for share, in_columns in ((0.0, True), (0.2, True), (1.0, True), (1.0, False)):
        made = batches(count if in_columns else count // 10, share)
        calls, outcomes = (
            sum(len(one.at) for one in kind) for kind in zip(*((m.calls, m.outcomes) for m in made), strict=True)
        )
        begin, sessions = time.process_time(), Sessions(SessionRules(), in_columns=in_columns)
        statements = sum(len(sessions.process(one).statements) for one in made)
        spent = time.process_time() - begin
        print(
            f"{share:4.0%} of {calls:,} calls in {len(sessions):,} sessions{'' if in_columns else ', slow'}: "
            f"{spent / calls * 1e6:.2f} us a call with what is said of it, {outcomes:,} outcomes, "
            f"{_bytes(made, in_columns=in_columns) / calls:.0f} bytes a call, {statements:,} statements"
        )


def _bytes(made: list[SessionArrivals], *, in_columns: bool) -> int:
    tracemalloc.start()
    sessions = Sessions(SessionRules(), in_columns=in_columns)
    for one in made:
        sessions.process(one)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return taken if len(sessions) else 0


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
