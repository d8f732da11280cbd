"""Messages to the group step."""

from __future__ import annotations

import numpy as np

from aftercall.times import MINUTE_US
from models.messages import (
    CallHours,
    CellDeltas,
    Changes,
    DelayDeltas,
    ErrorTrials,
    Group,
    LatencyDeltas,
    Responses,
    Scores,
    TrialDeltas,
    Values,
)


def changes(minute: int, *names: Group, shard: str = "00") -> Changes:
    """One call and one trial in this minute for each of the groups; the watermark is the minute's end."""
    count = len(names)
    code, at, one = np.arange(count, dtype=np.int32), np.full(count, minute, np.int32), np.ones(count, np.int32)
    none, key = np.zeros(count, np.int32), np.arange(count, dtype=np.uint64)
    return Changes(
        shard=shard,
        watermark=(minute + 1) * MINUTE_US,
        names=list(names),
        cells=CellDeltas(code, at, one, one, none, none, np.zeros(count, np.int64)),
        latencies=LatencyDeltas(code, at, code.astype(np.int16), one),
        delays=DelayDeltas(code, at, one.astype(np.int8), code.astype(np.int16), one),
        trials=TrialDeltas(code, at, one, none, one, none, one),
        values=Values(
            code,
            at,
            at.astype(np.int64) * MINUTE_US,
            key,
            np.full(count, 5.0),
            np.full(count, np.nan),
            at.astype(np.int64),
        ),
        sources=("judge",),
        responses=Responses(code, at, none, one.astype(np.int8), none.astype(np.int16), one, one),
        scores=Scores(code, at, none, none + 70, one),
        errors=("timeout",),
        failed=ErrorTrials(code, at, none, one),
        hours=CallHours(*(at // 60,) * 4, quarters=at // 15),
    )
