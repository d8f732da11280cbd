"""Rules over sessions, shard by shard: what is erased, what is given up for room, and what a run without them keeps."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from aftercall.contracts.contract_set import ContractSet
from aftercall.times import DAY_US, MINUTE_US, NEVER, format_time
from connectors.batch import Erase
from connectors.decode.decoder import Decoder
from flows.dataflow.session_shards import to_sessions
from flows.dataflow.shards import SHARDS
from harness.contracts import contract
from models import plain
from models.contracts import SessionRulebook
from models.sessions import SessionErasure, SessionRules, SessionShard, merged_sessions, times_of

START = 29_000_000 * MINUTE_US
RULES = SessionRules()
SHORT = {"type": "session_budget", "calls": 2, "id": "short"}
ONCE = {"type": "repeated_request", "id": "once", "within": "7d"}
PLANTED = "jo@example.org"
Results = dict[str, str]


def book(*rules: dict[str, Any]) -> SessionRulebook:
    return SessionRulebook(ContractSet([contract(*rules)]), times_of(RULES), "all")


def call(call_id: str, minute: int, session_id: str = "s", **more: Any) -> dict[str, Any]:
    at = format_time(START + minute * MINUTE_US)
    return {"call_id": call_id, "occurred_at": at, "task_type": "t", "model": "m", "session_id": session_id, **more}


class Shards:
    """All shards of sessions, and what a lane sends them."""

    def __init__(self, *rules: dict[str, Any], most: int = 1000, limits: SessionRules = RULES) -> None:
        self.rules, self.most, self.limits = rules, most, limits
        self.shards = {shard: SessionShard(limits, most=most, book=self._book()) for shard in SHARDS}
        self.stored = {shard: [plain.pack(self.shards[shard].state())] for shard in SHARDS}

    def _book(self) -> SessionRulebook | None:
        return book(*self.rules) if self.rules else None

    def read(self, *calls: dict[str, Any], after: int | None = None, ended: bool = False, erase: Any = ()) -> Results:
        """A batch, after which the watermark is at a minute; what the first rule finds in the calls judged with it."""
        decoder, count = Decoder(now_us=2**62, max_future_skew_us=0), len(calls)
        lines = [json.dumps(one).encode() for one in calls]
        kinds, places = np.zeros(count, np.uint8), np.zeros(count, np.int32)
        batch = decoder.decode(lines, kinds, places, np.arange(count), ["p"])
        batch.low = NEVER if after is None else START + after * MINUTE_US
        batch.calls = batch.calls._replace(wm=np.full(count, max(one.watermark for one in self.shards.values())))
        batch.ended, batch.erase = ended, erase
        found = [one for shard, part in to_sessions(batch) for one in self._take(shard, part)]
        assert len({one.call_id for one in found}) == len(found)
        return {one.call_id: one.found[0].result for one in found}

    def _take(self, shard: str, part: Any) -> Any:
        of = self.shards[shard]
        checks = (of.erase(part) if isinstance(part, SessionErasure) else of.process(part)).checks
        if of.unstored < 0:
            self.stored[shard] = [plain.pack(of.state())]
        else:
            self.stored[shard].append(plain.pack(of.changes()))
        return checks

    def resume(self, *rules: dict[str, Any]) -> None:
        """Go on from what was stored, with other rules."""
        self.rules = rules
        for shard in SHARDS:
            state, *changes = map(plain.unpack, self.stored[shard])
            whole = merged_sessions(state, changes)
            self.shards[shard] = SessionShard.from_state(whole, self.limits, most=self.most, book=self._book())

    def bytes(self) -> bytes:
        """All that a run would store now, whole."""
        return b"".join(plain.pack(shard.state()) for shard in self.shards.values())


def test_a_call_waits_until_the_watermark_has_passed_its_minute_and_the_wait() -> None:
    shards = Shards(SHORT)
    assert shards.read(call("b", 0), call("a", 0), call("c", 1), after=6) == {"a": "pass", "b": "pass"}
    assert shards.read(after=6) == {}
    assert shards.read(after=7) == {"c": "fail"}


def test_one_that_comes_later_is_judged_when_it_comes_after_those_before() -> None:
    shards = Shards(SHORT)
    assert shards.read(call("a", 0), call("b", 9), after=8) == {"a": "pass"}
    assert shards.read(call("late", 1), after=8) == {"late": "pass"}
    assert shards.read(after=20) == {"b": "fail"}
    assert shards.read(call("a", 0), call("late", 1), call("b", 9), after=60) == {}  # each is judged once


def test_what_waits_is_judged_at_the_end_of_all_partitions() -> None:
    shards = Shards(SHORT)
    assert shards.read(call("a", 0)) == {}
    assert shards.read(ended=True) == {"a": "pass"}
    assert shards.read(ended=True) == {}


def test_a_session_without_a_call_for_as_long_as_any_is_held_begins_from_nothing() -> None:
    shards = Shards(SHORT)
    assert shards.read(call("a", 0), call("b", 0), call("c", 0), after=10)["c"] == "fail"
    hold = RULES.hold() // MINUTE_US
    assert shards.read(call("d", hold - 6), after=hold + 1) == {"d": "fail"}
    assert shards.read(call("e", 3 * hold), after=3 * hold + 10) == {"e": "pass"}
    shards.read(after=10 * hold)
    assert b"\xa1s" not in shards.bytes()  # and leaves the state


@pytest.mark.parametrize("resumes", [False, True])
def test_an_erased_call_that_waits_is_never_judged_and_what_calls_were_given_is_forgotten(resumes: bool) -> None:  # noqa: FBT001
    shards = Shards(ONCE)
    judged = call("judged", 0, attrs={"input_hash": "hash-1"})
    assert shards.read(judged, after=9) == {"judged": "pass"}
    shards.read(call("erased-call", 10, attrs={"input_hash": "hash-2"}), after=11)
    assert b"hash-1" in shards.bytes()
    assert b"erased-call" in shards.bytes()
    if resumes:  # a stopped run is erased by one without contracts
        shards.resume()
    assert shards.read(after=11, erase=(Erase("r", ("erased-call", "judged"), ()),)) == {}
    assert not any(text in shards.bytes() for text in (b"hash-", b"erased-call", b"judged"))
    shards.resume(ONCE)
    assert shards.read(call("next", 12, attrs={"input_hash": "hash-1"}), after=30) == {"next": "pass"}


def test_an_erased_session_is_forgotten() -> None:
    shards = Shards(SHORT)
    shards.read(call("a", 0, "session-1"), call("b", 0, "session-1"), call("c", 9, "session-1"), after=8)
    shards.read(after=8, erase=(Erase("r", ("a", "b", "c"), ("session-1",)),))
    assert b"session-1" not in shards.bytes()
    assert shards.read(call("d", 10, "session-1"), after=60) == {"d": "pass"}


def test_beyond_the_room_the_oldest_sessions_are_judged_at_once_and_forgotten() -> None:
    shards = Shards(SHORT, most=1)
    calls = [call(f"c{at}", at % 4, f"s{at}") for at in range(60)]
    found = shards.read(*calls, after=3)
    assert len(found) >= 48  # twelve shards, of one session each
    rest = shards.read(after=60)
    assert found.keys() | rest.keys() == {one["call_id"] for one in calls}
    assert not found.keys() & rest.keys()


def test_a_run_without_contracts_keeps_what_a_run_with_them_remembers() -> None:
    shards = Shards(SHORT)
    shards.read(call("a", 0), call("b", 0), call("c", 9), after=8)
    shards.resume()
    assert shards.read(after=60, ended=True) == {}
    shards.resume(SHORT)
    assert shards.read(after=61) == {"c": "fail"}


def test_without_rules_over_sessions_nothing_is_remembered_and_they_may_come_later() -> None:
    shards = Shards()
    assert shards.read(call("a", 0), after=60) == {}
    assert all("checks" not in shard.state() for shard in shards.shards.values())
    shards.resume(SHORT)
    found = shards.read(call("a", 0), call("b", 61), call("c", 61), after=90)
    assert found == {"b": "pass", "c": "pass"}  # the first one came before there were any


def test_of_a_session_with_as_many_calls_as_may_be_known_older_ones_count_as_known() -> None:
    shards = Shards(SHORT, limits=SessionRules(most_calls=2))
    assert len(shards.read(*(call(name, at) for at, name in enumerate("abc")), after=9)) == 3
    assert shards.read(call("a", 0), after=9) == {}  # it came before, and is not known any longer


def test_no_text_of_a_call_is_stored() -> None:
    escalate = {"type": "escalate_after", "failures": 3, "when": {"attrs.tier": "gold"}}
    shards = Shards(SHORT, ONCE, escalate)
    tools = [{"name": "look", "ok": False, "error": f"{PLANTED} is unknown", "documents": [{"id": PLANTED}]}]
    said: dict[str, Any] = {"error": PLANTED, "output": PLANTED, "input": PLANTED, "tool_calls": tools}
    labels = {"input_hash": "h", "tier": "gold", "user": PLANTED}
    shards.read(call("a", 0, attrs=labels, **said), after=1)
    assert PLANTED.encode() not in shards.bytes()
    assert b"gold" in shards.bytes()


def test_a_record_completes_its_call_until_it_is_due_and_no_other() -> None:
    usd = {"type": "session_budget", "usd": 1, "id": "cheap"}
    for more, result in (
        ({"cost_usd": 2.0}, "fail"),
        ({"cost_usd": 2.0, "model": "other"}, "not_applicable"),
        ({"cost_usd": 2.0, "segment": "x"}, "not_applicable"),
        ({"cost_usd": 2.0, "occurred_at": format_time(START + 7 * MINUTE_US)}, "not_applicable"),
        ({"cost_usd": 2.0, "occurred_at": format_time(START - DAY_US - 1)}, "not_applicable"),
    ):
        shards = Shards(usd)
        shards.read(call("a", 0))
        assert shards.read(call("a", 0) | more, after=8) == {"a": result}, more
