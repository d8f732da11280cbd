"""Outcomes of sessions: columns of their own, and a slug for what names no subject, or two."""

from __future__ import annotations

import json
from typing import Any

import pytest
from xxhash import xxh3_64_intdigest

from connectors.decode.decoder import OUTCOME
from harness.decoding import BASES, decode


def line(kind: int, **changes: Any) -> bytes:
    return json.dumps({**BASES[kind], **changes}).encode()


REFUSED = {
    "neither a call nor a session": ("missing_field", line(OUTCOME, call_id=None)),
    "descendants of no call": (
        "missing_field",
        line(OUTCOME, call_id=None, session_id="s", scope="descendants"),
    ),
    "descendants of no session": ("missing_field", line(OUTCOME, scope="descendants")),
    "a scope without a session": ("missing_field", line(OUTCOME, scope="all")),
    "a call and a session": ("ambiguous_subject", line(OUTCOME, session_id="s")),
    "a call and a session with a scope": ("ambiguous_subject", line(OUTCOME, session_id="s", scope="last")),
    "an unknown scope": ("out_of_range", line(OUTCOME, call_id=None, session_id="s", scope="first")),
    "an id of the tables": ("reserved_name", line(OUTCOME, outcome_id="session:o")),
    "an id of the tables for a session": (
        "reserved_name",
        line(OUTCOME, call_id=None, session_id="s", outcome_id="session:o"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_one_that_names_no_or_two_subjects_is_refused_and_its_neighbours_stay(case: str) -> None:
    reason, raw = REFUSED[case]
    batch = decode([line(OUTCOME), raw, line(OUTCOME, call_id=None, session_id="s")], [OUTCOME] * 3)
    assert [(refused.reason, refused.offset) for refused in batch.refused] == [(reason, 2)]
    assert (batch.outcomes.pos.tolist(), batch.said.pos.tolist()) == ([0], [2])


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
