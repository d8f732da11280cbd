"""A webhook that is delivered twice, with an id of its own and no time: from the SDK to the counts of a replay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aftercall import Client
from system.commands import aftercall, counts

pytestmark = pytest.mark.slow


def test_a_webhook_that_is_delivered_twice_is_one_statement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    client = Client(file=tmp_path / "events", spool=None)
    with client.track("billing", model="large") as call:
        pass
    for _ in range(2):
        client.outcome(call.call_id, source="downstream", success=True, outcome_id="stripe:evt_1")
    client.close(timeout=30)
    events = tmp_path / "events"
    delivered = [json.loads(line) for line in (events / "outcomes.jsonl").read_bytes().splitlines()]
    assert len({outcome["occurred_at"] for outcome in delivered}) == 2, "each delivery has its own moment"
    files = ("--calls", events / "calls.jsonl", "--outcomes", events / "outcomes.jsonl")
    done = aftercall(tmp_path, "replay", *files, "--out", "out", "--json")
    found = counts(done)
    assert (found["outcomes"], found["duplicates"], found["dead_letters"]) == (1, 1, 0)
