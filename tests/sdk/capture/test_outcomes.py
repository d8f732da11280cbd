"""Outcomes are stated and withdrawn from any process, under ids that make a repeat a duplicate."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from aftercall import Client
from aftercall.testing import InvalidEventError, MemoryTransport


def test_an_outcome_has_what_was_stated(client: Client, memory: MemoryTransport) -> None:
    outcome_id = client.outcome(
        "c1",
        source="user_feedback",
        success=False,
        reason="wrong city",
        author="u1",
        attrs={"page": "chat"},
        occurred_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    (outcome,) = memory.outcomes
    assert outcome == {
        "type": "outcome",
        "outcome_id": outcome_id,
        "call_id": "c1",
        "source": "user_feedback",
        "success": False,
        "reason": "wrong city",
        "author": "u1",
        "attrs": {"page": "chat"},
        "occurred_at": "2026-03-01T12:00:00.000000Z",
    }
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", outcome_id)


def test_an_id_of_the_callers_own_is_kept(client: Client, memory: MemoryTransport) -> None:
    assert client.outcome("c1", source="downstream", success=True, outcome_id="stripe:evt_1") == "stripe:evt_1"
    assert client.outcome("c1", source="downstream", success=True, outcome_id="stripe:evt_1") == "stripe:evt_1"
    assert [outcome["outcome_id"] for outcome in memory.outcomes] == ["stripe:evt_1"] * 2


def test_an_outcome_may_be_of_a_session(client: Client, memory: MemoryTransport) -> None:
    client.outcome(session_id="conv-17", scope="all", source="user_feedback", score=0.9, scorer="form@v2")
    (outcome,) = memory.outcomes
    assert (outcome["session_id"], outcome["scope"]) == ("conv-17", "all")
    assert (outcome["score"], outcome["scorer"]) == (0.9, "form@v2")
    assert "call_id" not in outcome


def test_a_retraction_names_a_source_or_a_statement(client: Client, memory: MemoryTransport) -> None:
    client.retract("c1", source="user_feedback", author="u1")
    client.retract("c1", outcome_id="o1")
    client.retract(session_id="conv", outcome_id="o2")
    by_source, by_id, of_session = memory.outcomes
    assert (by_source["action"], by_source["source"], by_source["author"]) == ("retract", "user_feedback", "u1")
    assert (by_id["action"], by_id["retracts"], by_id["call_id"]) == ("retract", "o1", "c1")
    assert (of_session["session_id"], of_session["retracts"]) == ("conv", "o2")
    assert len({by_source["outcome_id"], by_id["outcome_id"], of_session["outcome_id"], "o1", "o2"}) == 5


def test_values_as_programs_have_them_are_read(client: Client, memory: MemoryTransport) -> None:
    call_id: Any = uuid4()
    yes: Any = np.bool_(True)
    client.outcome(call_id, source="judge", success=yes)
    score: Any = np.float32(0.5)
    client.outcome("c2", source="judge", score=score)
    count: Any = np.int64(3)
    with client.track("support", model="m", call_id=call_id) as call:
        call.set(tokens_in=count, attrs={"n": count})
    first, second = memory.outcomes
    assert UUID(first["call_id"]) == call_id
    assert first["success"] is True
    assert second["score"] == 0.5
    (event,) = memory.calls
    assert (event["call_id"], event["tokens_in"], event["attrs"]) == (str(call_id), 3, {"n": 3})


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": "judge"},
        {"source": "judge", "score": float("nan")},
        {"source": "call", "success": True},
        {"success": True},
        {"source": "judge", "success": True, "occurred_at": datetime(2026, 3, 1)},  # noqa: DTZ001
        {"source": "judge", "success": True, "attrs": {"a": 1j}},
        {"source": "judge", "success": True, "attrs": 5},
        {"source": "judge", "success": True, "sucess": True},
    ],
    ids=str,
)
def test_a_wrong_outcome_is_found_in_the_users_test(client: Client, wrong: dict[str, Any]) -> None:
    with pytest.raises((InvalidEventError, ValueError, TypeError)):
        client.outcome("c1", **wrong)
