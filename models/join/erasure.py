"""Erases calls: what could identify them leaves the state, what was counted stays (docs/decisions/0009-erasure.md).

A held call leaves its shard as if it had closed: one on which nothing stands becomes `expired`, a decided one keeps its
verdict in the rates. Early outcomes that wait for it become dead letters without key and payload. So the sums of
docs/reference.md, section 4, hold before and after. Erasing a call that is not held changes nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.join.deltas import Deltas
from models.join.early_outcomes import EarlyOutcome
from models.join.held_calls import PENDING
from models.join.identity import key_of
from models.join.join import Join
from models.join.joined import Expired, FirstVerdicts, Joined, Refusal
from models.messages import Erased, Erasure

REASON: Final = "erased"
_DETAIL: Final = "it waited for a call that was erased"


def erase(join: Join, erasure: Erasure) -> Joined:
    """Erase calls from one shard. O(calls named), however many are held."""
    shard, held = join.shard, join.shard.held
    wanted = [key_of(shard, join.early, call_id, hash_) for hash_, call_id in sorted(set(erasure.calls))]
    keys = np.array(list(dict.fromkeys(key for key in wanted if key is not None)), np.uint64)
    rows = held.index.find(keys)
    rows = rows[rows >= 0]
    pending = rows[held.calls.verdict[rows] == PENDING]
    deltas = Deltas(shard.source_code)
    deltas.add_expired_calls(held.calls.group[pending], held.calls.at[pending])
    held.erase(rows)
    held.forget_changes()
    early = [outcome for key in keys.tolist() for outcome in join.early.pop(key)]
    call_ids = tuple(dict.fromkeys(call_id for _, call_id in erasure.calls))
    tally = {"expired": len(pending), "waiting": -len(early), "dead_letters": len(early)}
    changes = deltas.changes(erasure.shard, join.watermark, shard.groups, shard.sources, shard.segments)
    return Joined(
        changes=changes._replace(erased=tuple(sorted({hash_ for hash_, _ in erasure.calls}))),
        accepted=np.zeros(0, np.object_),
        accepted_at=np.zeros(0, np.int64),
        first=_NO_VERDICTS,
        expired=_NONE_EXPIRED,
        judgements=[],
        statements=[],
        refused=[_refusal(outcome) for outcome in early],
        tally={name: count for name, count in tally.items() if count},
        erased=Erased(erasure.request, call_ids, len(rows), len(early)),
    )


def _refusal(outcome: EarlyOutcome) -> Refusal:
    # No call_id: it would be the key of the dead letter.
    return Refusal(REASON, _DETAIL, "", outcome.partition, outcome.offset, None, outcome.size, outcome.sha256)


_CODES, _TIMES = np.zeros(0, np.int32), np.zeros(0, np.int64)
_NO_VERDICTS: Final = FirstVerdicts(np.zeros(0, np.object_), [], _CODES, _TIMES, _TIMES, np.zeros(0, np.int8))
_NONE_EXPIRED: Final = Expired([], [], _CODES, _TIMES, _TIMES, np.zeros(0, np.int8))
