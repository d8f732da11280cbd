"""Hypothesis strategies for calls of few sessions, and contracts with rules over these."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from oracle.contracts import OracleContract, OracleRule
from oracle.histories import History
from oracle.order import File
from oracle.records import EPOCH, MINUTE_US, Rules
from oracle.session_checks import OracleSessionRule

if TYPE_CHECKING:
    from collections.abc import Sequence

Raw = dict[str, Any]
SECOND = 1_000_000
START = 29_000_000 * MINUTE_US
CALLS = ("a", "b", "c", "d", "e", "f", "01957b3e-5c00-7000-8000-000000000001", "x" * 64)
SESSIONS = ("s-1", "s-2")
RULES = (
    OracleSessionRule("cheap", "usd", 1),
    OracleSessionRule("short", "calls", 3),
    OracleSessionRule("brief", "tokens", 10, tier="gold"),
    OracleSessionRule("once", "again", 5),
    OracleSessionRule("asks", "failures", 2),
)
minutes = st.sampled_from([0, 0, 1, 2, 3, 5, 6, 8, 9, 14, 40, 90])


@st.composite
def checked_histories(draw: st.DrawFn, *, in_order: bool = False) -> History:
    """Up to some thirty records, mostly of one session, in two files of calls and one of outcomes."""
    rules = Rules(
        horizon_us=draw(st.sampled_from([10 * MINUTE_US, 100 * MINUTE_US, 100_000 * MINUTE_US])),
        allowed_lateness_us=draw(st.sampled_from([0, 10 * MINUTE_US, 60 * MINUTE_US])),
        session_wait_us=draw(st.sampled_from([0, 2 * MINUTE_US, 30 * MINUTE_US])),
        task_horizon_us=draw(st.sampled_from([{}, {"other": 20 * SECOND}, {"other": 20 * MINUTE_US}])),
        contracts=draw(drawn_contracts()),
        severe=frozenset(),
    )
    calls = draw(st.lists(drawn_calls(), min_size=2, max_size=14))
    calls += [_second(draw, draw(st.sampled_from(calls))) for _ in range(draw(st.integers(0, 6)))]
    if rules.task_horizon_us:
        calls = _of_one_horizon(calls)
    shares: list[list[Raw]] = [[], []]
    for call in draw(st.permutations(calls)):
        shares[draw(st.integers(0, 1))].append(call)
    files = [File("calls", _lines(sorted(one, key=_at) if in_order else one)) for one in shares]
    ticks = [_tick(at) for at in sorted(draw(st.lists(minutes, max_size=4)))]
    return History(rules, (*files, File("outcomes", _lines(ticks))))


@st.composite
def drawn_contracts(draw: st.DrawFn) -> tuple[OracleContract, ...]:
    """One in one or two versions, and one for a task type."""
    start = draw(st.sampled_from([None, 3, 9]))
    call_rules = (OracleRule("fast", "latency", 10, severity="major"),)
    some = st.lists(st.sampled_from(RULES), min_size=1, unique=True).map(tuple)
    versions = [OracleContract("refund", "1", call_rules, session_rules=draw(some))]
    if start is not None:
        versions.append(OracleContract("refund", "2", (), start=START + start * MINUTE_US, session_rules=draw(some)))
    other = OracleContract("audit", "a", call_rules, task="task", session_rules=RULES[1:2])
    return (*versions, *draw(st.sampled_from([(), (other,)])))


@st.composite
def drawn_calls(draw: st.DrawFn) -> Raw:
    """A call."""
    at = START + draw(minutes) * MINUTE_US + draw(st.sampled_from([0, 0, 1, 30 * SECOND, 59 * SECOND]))
    return {
        "call_id": draw(st.sampled_from(CALLS)),
        "occurred_at": at,
        "task_type": draw(st.sampled_from(["task", "task", "other"])),
        "model": "m",
        **draw(_said()),
    }


@st.composite
def _said(draw: st.DrawFn) -> Raw:
    tools = [None, None, 2, [], [{"name": "look", "ok": False}], [{"name": "handoff"}]]
    labels = [None, {}, {"input_hash": "h1"}, {"input_hash": "h2", "tier": "gold"}, {"escalated": True}]
    return {
        "session_id": draw(st.sampled_from([SESSIONS[0]] * 4 + [SESSIONS[1], None])),
        "cost_usd": draw(st.sampled_from([None, 0.5, 0.75])),
        "tokens_in": draw(st.sampled_from([None, 4, 7])),
        "tokens_out": draw(st.sampled_from([None, None, 3])),
        "error": draw(st.sampled_from([None, None, None, "timeout"])),
        "latency_ms": draw(st.sampled_from([None, 5, 20])),
        "attrs": draw(st.sampled_from(labels)),
        "tool_calls": draw(st.sampled_from(tools)),
    }


def _second(draw: st.DrawFn, call: Raw) -> Raw:
    """Another record of a call: the same, or what the first one lacks, at another time."""
    moved = call["occurred_at"] + draw(st.sampled_from([0, 0, 1, 30 * SECOND, 2 * MINUTE_US, 40 * MINUTE_US]))
    named = {name: call[name] for name in ("call_id", "task_type", "model")}
    again = {**call, "occurred_at": moved} if draw(st.booleans()) else {**named, **draw(_said()), "occurred_at": moved}
    return {**again, "session_id": draw(st.sampled_from([call["session_id"], call["session_id"], *SESSIONS, None]))}


def _of_one_horizon(calls: list[Raw]) -> list[Raw]:
    """A call that has closed by the horizon of one task is not accepted again, at the same time, by that of another.

    Two calls would have one id and one time, which are the key of the run's results here.
    """
    tasks: dict[tuple[str, int], str] = {}
    return [
        {**call, "task_type": tasks.setdefault((call["call_id"], call["occurred_at"]), call["task_type"])}
        for call in calls
    ]


def _tick(minute: int) -> Raw:
    at = START + minute * MINUTE_US
    return {"outcome_id": f"o-{minute}", "call_id": "none", "occurred_at": at, "source": "x", "success": True}


def _at(record: Raw) -> int:
    at: int = record["occurred_at"]
    return at


def _lines(records: Sequence[Raw]) -> tuple[bytes, ...]:
    written = [{**one, "occurred_at": (EPOCH + timedelta(microseconds=_at(one))).isoformat()} for one in records]
    return tuple(json.dumps({name: v for name, v in one.items() if v is not None}).encode() for one in written)
