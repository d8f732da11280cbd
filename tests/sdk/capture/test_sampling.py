"""With `sample`, a call and its outcomes are kept together by the id of the call; what they hold decides nothing."""

from __future__ import annotations

from itertools import count

import pytest

from aftercall import Client
from aftercall.capture.sampling import is_kept
from aftercall.testing import MemoryTransport


def test_no_outcome_becomes_an_orphan(memory: MemoryTransport) -> None:
    agent, widget = Client(transport=memory, sample=0.1), Client(transport=memory, sample=0.1)
    for number in range(2000):
        with agent.track("support", model="m", call_id=f"c{number}"):
            pass
        widget.outcome(f"c{number}", source="judge", success=True)
    kept = [call["call_id"] for call in memory.calls]
    assert kept == [outcome["call_id"] for outcome in memory.outcomes]
    assert 140 < len(kept) < 260
    assert all(call["attrs"]["sample"] == 0.1 for call in memory.calls)


def test_failures_are_kept_as_often_as_successes(memory: MemoryTransport) -> None:
    client = Client(transport=memory, sample=0.25)
    numbers = count()

    @client.track("support", model="m")
    def answer() -> None:
        if next(numbers) % 2:
            raise ValueError("no")

    for _ in range(4000):
        try:
            answer()
        except ValueError:
            continue
    failed = sum("error" in call for call in memory.calls)
    assert abs(failed - len(memory.calls) / 2) < 5 * (len(memory.calls) / 4) ** 0.5


def test_the_rule_can_be_followed_in_any_language() -> None:
    """First four bytes of SHA-256 of the id below the share of 2^32: a change would split calls from outcomes."""
    assert [name for name in map("c{}".format, range(40)) if is_kept(name, 0.1)] == KEPT
    assert is_kept("anything", 1.0)


KEPT = ["c0", "c4", "c18", "c23", "c26", "c36"]


def test_an_outcome_of_a_session_is_kept(memory: MemoryTransport) -> None:
    client = Client(transport=memory, sample=0.001)
    for number in range(20):
        client.outcome(session_id=f"s{number}", source="judge", success=True)
    assert len(memory.outcomes) == 20


@pytest.mark.parametrize("sample", [1.0, 7.0])
def test_by_default_all_are_kept(memory: MemoryTransport, sample: float) -> None:
    client = Client(transport=memory, sample=sample)
    for _ in range(50):
        with client.track("support", model="m"):
            pass
    assert len(memory.calls) == 50
    assert "sample" not in memory.calls[0].get("attrs", {})
