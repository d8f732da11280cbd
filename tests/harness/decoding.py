"""Records to decode, and what becomes of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from aftercall.times import parse_time
from connectors.batch import Batch
from connectors.decode.decoder import Decoder

NOW = parse_time("2026-06-01T00:00:00Z")
SKEW = 300_000_000
CALL_BASE: dict[str, Any] = {
    "call_id": "c1",
    "occurred_at": "2026-03-01T12:00:00Z",
    "task_type": "triage",
    "model": "m",
}
OUTCOME_BASE: dict[str, Any] = {
    "outcome_id": "o1",
    "call_id": "c1",
    "occurred_at": "2026-03-01T12:00:00Z",
    "source": "judge",
    "success": True,
}
BASES = (CALL_BASE, OUTCOME_BASE)


def decode(raws: list[bytes], kinds: list[int], **settings_: Any) -> Batch:
    decoder = Decoder(now_us=NOW, max_future_skew_us=SKEW, **settings_)
    count = len(raws)
    return decoder.decode(raws, np.array(kinds, np.uint8), np.zeros(count, np.int32), np.arange(1, count + 1), ["p"])
