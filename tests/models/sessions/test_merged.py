"""A shard that is put together from its stored state and the changes since is the shard, and costs what changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import plain
from models.columns.id_column import texts_of
from models.sessions import Sessions
from models.sessions.merged import merged_sessions
from oracle.records import Call, Outcome, Rules
from oracle.session import Erase, Said
from oracle.session_direct import Run, Stream, arrivals, erased, rules_of
from oracle.session_histories import session_streams

MINUTE = 60_000_000
T = 1_000_000 * MINUTE


def content(state: dict[str, Any]) -> dict[str, Any]:
    """What is known of each session, whatever the rows and codes are; and when the tables were swept."""
    ids, calls, lone = texts_of(state["sessions"]["ids"]), state["calls"], state["lone"]
    found: dict[str, dict[str, Any]] = {
        one: {name: column[at].item() for name, column in state["sessions"].items() if name != "ids"}
        | {"key": state["keys"][at].item(), "calls": [], "lone": [], "said": None}
        for at, one in enumerate(ids)
    }
    call_ids, parents = texts_of(calls["ids"]), texts_of(calls["parents"])
    for at, session in enumerate(calls["session"].tolist()):
        parent = parents[at] if calls["parents"]["kind"][at] else None
        span = state["spans"][calls["span"][at]]
        found[ids[session]]["calls"].append(
            (call_ids[at], calls["key"][at].item(), calls["at"][at].item(), span, parent)
        )
    for at, row in enumerate(lone_rows(lone)):
        found[ids[lone["session"][at]]]["lone"].append(row)
    for at, session in enumerate(state["said_of"].tolist()):
        found[ids[session]]["said"] = (state["said"][at], state["next"][at].item())
    for one in found.values():
        one["calls"].sort(key=lambda call: call[:3])
    return {"sessions": found, "swept_at": state["swept_at"], "own_keys": state["own_keys"]}


def lone_rows(lone: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Outcomes in columns, in the order in which they are stored."""
    outcome_ids, reached = texts_of(lone["ids"]), texts_of(lone["calls"])
    rows = []
    for at, waits in enumerate(lone["waits"].tolist()):
        columns = [lone[name][at].tolist() for name in ("key", "at", "given", "revises", "waits")]
        origin = [lone[name][at].tolist() for name in ("offset", "size", "hash")] if waits else reached[at]
        partition = lone["partitions"][lone["partition"][at]] if waits else None
        source = lone["sources"][lone["source"][at]]
        rows.append(
            (outcome_ids[at], *columns, repr(lone["score"][at]), origin, partition, source, lone["texts"].get(at))
        )
    return rows


@pytest.mark.slow
@given(session_streams(plain=True), st.lists(st.integers(1, 40), max_size=8), st.integers(1, 5), st.booleans())
def test_state_and_changes_are_the_state(
    drawn: tuple[Rules, list[Call | Said | Erase], list[int], int],
    cuts: list[int],
    whole_every: int,
    plain_rules: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    rules, records, before, last = drawn
    stream = Stream(records, before, last, cuts, [False, plain_rules])
    sessions, run, stored = Sessions(rules_of(rules), most=3), Run.nothing(), list[bytes]()
    for at, (places, after, ended) in enumerate(stream.batches()):
        read = [pos for pos in places if not isinstance(records[pos], Erase)]
        sessions.process(arrivals([(pos, records[pos], before[pos]) for pos in read], after, ended=ended))
        for erase in (records[pos] for pos in places):
            if isinstance(erase, Erase):
                erased(run, sessions, erase)
                assert sessions.unstored < 0
        if sessions.unstored < 0 or at % whole_every == 0:
            stored = [plain.pack(sessions.state())]
        else:
            stored.append(plain.pack(sessions.changes()))
        assert sessions.unstored == 0
        state, *changes = map(plain.unpack, stored)
        put_together = Sessions.from_state(merged_sessions(state, changes), rules_of(rules), seed=at)
        assert content(put_together.state()) == content(plain.unpack(plain.pack(sessions.state())))


def test_an_epoch_costs_what_has_changed_in_it() -> None:
    sessions = Sessions(rules_of(Rules()))
    calls = [Call(f"c{at}", T + at, session_id=f"s{at % 500}") for at in range(2000)]
    said = [Said(f"s{at}", Outcome("u", "", T + 3000 + at, success=True)) for at in range(500)]
    sessions.process(arrivals([(pos, one, T) for pos, one in enumerate([*calls, *said])], T))
    whole = len(plain.pack(sessions.state()))
    one = [Call("new", T + 5000, session_id="s7"), Said("s8", Outcome("v", "", T + 5000, success=True))]
    sessions.process(arrivals([(pos, each, T) for pos, each in enumerate(one)], T))
    assert 0 < sessions.unstored <= 4
    changed = sessions.changes()
    assert len(plain.pack(changed)) < whole / 100
    assert (len(changed["calls"]["key"]), len(changed["lone"]["key"]), len(changed["whole"])) == (1, 1, 0)
    sessions.process(arrivals([], T + 10 * MINUTE))
    resolved = sessions.changes()
    assert len(resolved["lone"]["key"]) == 501
    assert not np.any(resolved["lone"]["waits"])


def test_what_else_lies_in_a_part_is_that_of_the_newest() -> None:
    sessions = Sessions(rules_of(Rules()))
    state = {**sessions.state(), "lanes": 1, "watermark": 5}
    merged = merged_sessions(state, [{**sessions.changes(), "lanes": 2}, {**sessions.changes(), "lanes": 3}])
    assert merged["lanes"] == 3
    assert {"whole", "dropped"}.isdisjoint(merged)
    assert len(Sessions.from_state(merged, rules_of(Rules()))) == 0


def test_what_a_sweep_forgets_of_a_session_that_stays_does_not_come_back() -> None:
    rules = Rules(horizon_us=60 * MINUTE, allowed_lateness_us=10 * MINUTE)
    sessions = Sessions(rules_of(rules))
    calls = [Call("old", T, session_id=one) for one in ("s", "t")]
    read: list[Call | Said] = [*calls, Said("s", Outcome("u", "", T, success=True))]
    sessions.process(arrivals([(pos, one, T) for pos, one in enumerate(read)], T, ended=True))
    stored = [plain.pack(sessions.state())]
    for at in (60, 100):
        calls = [Call(f"c{at}", T + at * MINUTE, session_id=one) for one in ("s", "t")]
        sessions.process(arrivals([(pos, one, T) for pos, one in enumerate(calls)], T + at * MINUTE))
        stored.append(plain.pack(sessions.changes()))
    state, *changes = map(plain.unpack, stored)
    put_together = content(merged_sessions(state, changes))
    assert put_together == content(plain.unpack(plain.pack(sessions.state())))
    for one in ("s", "t"):
        assert [call[0] for call in put_together["sessions"][one]["calls"]] == ["c100", "c60"]
    assert put_together["sessions"]["s"]["lone"] == []
