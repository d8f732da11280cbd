"""Outcomes of sessions are columns of their own."""

from __future__ import annotations

import json
from typing import Any

from xxhash import xxh3_64_intdigest

from connectors.decode.decoder import OUTCOME
from harness.decoding import BASES, decode


def line(kind: int, **changes: Any) -> bytes:
    return json.dumps({**BASES[kind], **changes}).encode()


def test_outcomes_of_sessions_are_columns_of_their_own() -> None:
    raws = [
        line(OUTCOME),
        line(OUTCOME, call_id=None, session_id="s", scope=None),
        line(OUTCOME, session_id=12, scope="descendants", score=0.5, success=None),
        line(OUTCOME, call_id="", session_id="s", action="retract", success=None, scope="all"),
    ]
    batch = decode(raws, [OUTCOME] * 4)
    assert (batch.refused, batch.records) == ([], 4)
    assert batch.outcomes.pos.tolist() == [0]
    said = batch.said
    assert said.pos.tolist() == [1, 2, 3]
    assert said.session.tolist() == [xxh3_64_intdigest(text.encode()) for text in ("s", "12", "s")]
    assert [(r.session_id, r.scope, r.call_id, r.retract) for r in said.records] == [
        ("s", None, None, False),
        ("12", "descendants", "c1", False),
        ("s", "all", None, True),
    ]
    assert (said.success.tolist(), said.retract.tolist()) == ([1, -1, -1], [False, False, True])
    assert batch.times().tolist() == [*batch.outcomes.at.tolist(), *said.at.tolist()]
