"""Forgetting calls: what could identify them leaves the state, what was counted stays (docs/decisions/0009-erasure.md).

A held call leaves its shard as if it had closed: one on which nothing stands becomes `expired`, a decided one keeps its
verdict in the rates. Outcomes that wait for it become dead letters without key and payload. So the sums of
docs/reference.md, section 4, hold before and after. Erasing what is not there changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import I32
from models.join.deltas import Deltas
from models.join.early_outcomes import Waiting
from models.join.held_calls import HAS_CASE, NO_STATEMENT, PENDING, HeldCalls
from models.join.join import Expired, FirstVerdicts, Join, Joined
from models.join.slow_path import Refusal
from models.messages import Erased, Erasure

REASON: Final = "erased"
_DETAIL: Final = "it waited for a call that was erased"


def erase(join: Join, erasure: Erasure) -> Joined:
    """Forget calls in one shard. O(calls named), however many are held."""
    keys = np.array(sorted({key for key, _ in erasure.calls}), np.uint64)
    rows = join.held.index.find(keys)
    rows = rows[rows >= 0]
    table = join.held.calls
    pending = rows[table.verdict[rows] == PENDING]
    deltas = Deltas(join.source_code)
    deltas.add_expired(table.group[pending], table.at[pending])
    _forget(join.held, rows)
    waited = [outcome for key in keys.tolist() for outcome in join.waiting.take(key)]
    join.waiting.reindex()
    call_ids = tuple(dict.fromkeys(call_id for _, call_id in erasure.calls))
    tally = {"expired": len(pending), "waiting": -len(waited), "dead_letters": len(waited)}
    changes = deltas.changes(erasure.shard, join.watermark, join.groups, join.sources)
    return Joined(
        changes=changes._replace(erased=tuple(keys.tolist())),
        accepted=np.zeros(0, np.object_),
        accepted_at=np.zeros(0, np.int64),
        first=_NO_VERDICTS,
        expired=_NONE_EXPIRED,
        judgements=[],
        statements=[],
        refused=[_refusal(outcome) for outcome in waited],
        tally={name: count for name, count in tally.items() if count},
        erased=Erased(erasure.request, call_ids, len(rows), len(waited)),
    )


def _forget(held: HeldCalls, rows: I32) -> None:
    """Out of the index at once; the rows, now empty, are given back when their hour comes due."""
    held.index.remove(held.index.row_key[rows])
    held.forget_singles(rows)
    for row in rows[held.calls.single[rows] == HAS_CASE].tolist():
        del held.cases[row]
    held.calls.single[rows] = NO_STATEMENT
    held.calls.ids.drop(rows)


def _refusal(outcome: Waiting) -> Refusal:
    # No call_id: it would be the key of the dead letter.
    return Refusal(REASON, _DETAIL, "", outcome.partition, outcome.offset, None, outcome.size, outcome.sha256)


_CODES, _TIMES = np.zeros(0, np.int32), np.zeros(0, np.int64)
_NO_VERDICTS: Final = FirstVerdicts(np.zeros(0, np.object_), [], _CODES, _TIMES, _TIMES, np.zeros(0, np.int8))
_NONE_EXPIRED: Final = Expired([], [], _CODES, _TIMES, _TIMES, np.zeros(0, np.int8))
