"""What an agent does with the SDK is what the snapshot says: calls, parents, sessions, tools, attempts, outcomes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from aftercall import Client
from harness.waiting import HANG_S
from system.commands import aftercall, counts, table

pytestmark = pytest.mark.slow
FILES = ("--calls", "events/calls.jsonl", "--outcomes", "events/outcomes.jsonl")


def test_an_agents_day_is_in_the_snapshot(tmp_path: Path) -> None:
    agent = Client(file=tmp_path / "events", spool=tmp_path / "spool", release="2026.11")
    widget = Client(file=tmp_path / "events", spool=tmp_path / "spool")

    @agent.track("lookup", kind="tool")
    def lookup(order: int) -> str:
        raise TimeoutError("no answer")

    @agent.track("triage", model="small")
    def triage(question: str) -> str:
        return question

    def answer(question: str) -> str:
        with agent.track("support", model="large-eu", config="v7") as call:
            triage(question)
            with pytest.raises(ConnectionError), call.attempt(model="large-eu"):
                raise ConnectionError("down")
            with call.attempt(model="large-us"), pytest.raises(TimeoutError):
                lookup(4711)
            return call.call_id

    with agent.session("conv-17"):
        first = answer("Where is my parcel?")
        last = answer("Really?")
    with pytest.raises(ValueError, match="refused"), agent.track("support", model="large-us", config="v7") as failed:
        raise ValueError("refused")
    # The feedback comes from another process, later; here, from another client.
    widget.outcome(session_id="conv-17", source="user_feedback", success=True, author="u1")
    judged_at = datetime.now(UTC)
    for _ in range(2):  # as a webhook that is delivered twice
        widget.outcome(first, source="judge", score=0.1, outcome_id="j1", scorer="judge@v3", occurred_at=judged_at)
    widget.retract(first, outcome_id="j1")
    widget.outcome(first, source="human_review", success=False, reason="wrong parcel")
    for client in (agent, widget):
        assert client.flush(HANG_S)
        client.close()

    found = counts(aftercall(tmp_path, "replay", *FILES, "--out", "out", "--json"))
    assert (found["calls"], found["duplicates"], found["waiting"], found["dead_letters"]) == (5, 1, 0, 0)
    verdicts = table(
        tmp_path / "out",
        "SELECT call_id, model, verdict, verdict_source FROM calls WHERE task_type = 'support' AND attempt = 0",
    )
    assert set(verdicts) == {
        (first, "large-us", "failure", "human_review"),
        (last, "large-us", "success", "user_feedback"),
        (failed.call_id, "large-us", "failure", "call"),
    }
    attempts = "SELECT DISTINCT model, verdict FROM calls WHERE attempt > 0"
    assert table(tmp_path / "out", attempts) == [("large-eu", "failure")]
    parents = table(tmp_path / "out", "SELECT parent_call_id, session_id FROM calls WHERE task_type = 'triage'")
    assert set(parents) == {(first, "conv-17"), (last, "conv-17")}
    tools = table(tmp_path / "out", "SELECT call_id, name, ok FROM tool_calls")
    assert set(tools) == {(first, "lookup", False), (last, "lookup", False)}
    releases = table(tmp_path / "out", "SELECT DISTINCT json_extract_string(attrs, '$.release') FROM calls")
    assert ("2026.11",) in releases
