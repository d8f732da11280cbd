"""Hypothesis strategies for what people do to records: edit and clear votes, sign them, complete calls, fall back.

Each kind is drawn where a history asks for it, and else draws nothing, so that histories without kinds stay as they
were.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hypothesis import strategies as st

from oracle.contracts import OracleContract, OracleRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oracle.records import Rules

_T = TypeVar("_T")
Raw = dict[str, Any]
"""The fields of a record's JSON, times in microseconds."""
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
START = 1740871800 * SECOND
"""When histories begin."""
KINDS: Final = frozenset(
    {"editions", "clearings", "abstentions", "authors", "combine", "required", "completions", "attempts", "parents"}
)
WITHOUT_SETTINGS: Final = frozenset({"completions", "attempts", "parents"})
"""Those that no setting switches on."""
ABSTAIN: Final = {
    "user_feedback": (0.3, 0.69),
    "human_review": (0.5, 0.5),
    "judge": (0.0, 0.3),
    "toxicity": (0.0, 0.29),
}
"""None holds the bound of its source, and scores that are drawn lie in each."""
HOW: Final = ("newest", "majority", "mean", "all", "any")
SEVERE: Final[tuple[tuple[str, ...], ...]] = (("critical",), ("critical", "major"), ())
RULES: Final = (
    OracleRule("fast", "latency", 100.0),
    OracleRule("fast-gold", "latency", 5.0, "major", "gold"),
    OracleRule("cheap", "cost", 0.1, "major"),
    OracleRule("short", "output_length", 4.0),
    OracleRule("tools", "denied_tools", ("drop",), "minor"),
    OracleRule("tools-gold", "denied_tools", ("drop",), "critical", "gold"),
    OracleRule("end", "safe_end_state", ("ok",)),
)
_SOURCES = st.sampled_from(sorted(ABSTAIN))
_REVISED = st.frozensets(_SOURCES, min_size=1)
_ABSTAINING = st.sets(_SOURCES, min_size=1)
_COMBINED = st.dictionaries(_SOURCES, st.sampled_from(HOW))
_REQUIRED = st.lists(_SOURCES, max_size=2, unique=True).map(tuple)
_ATTEMPTS = st.none() | st.lists(
    st.fixed_dictionaries(
        {"model": st.sampled_from(["m-1", "m-9"])},
        optional={
            "config": st.sampled_from([None, "v2"]),
            "error": st.sampled_from([None, "429", "429", "timeout"]),
            "latency_ms": st.sampled_from([0, 90]),
            "cost_usd": st.sampled_from([None, 0.001]),
        },
    ),
    max_size=3,
)


def pick(draw: st.DrawFn, values: Sequence[_T]) -> _T:
    """One of the values, and the first one where Hypothesis shrinks.

    A strategy made for one draw is checked and analysed before it, which took half of the CPU of tests on histories:
    what is constant is made once, above, and all else is picked.
    """
    return values[draw(_up_to(len(values) - 1))]


@cache
def _up_to(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most)


def with_kinds(draw: st.DrawFn, rules: Rules, kinds: frozenset[str], tasks: Sequence[str]) -> Rules:
    """The rules, and settings for these kinds."""
    if kinds & {"editions", "clearings"}:
        rules = replace(rules, revises=draw(_REVISED))
    if "abstentions" in kinds:
        rules = replace(rules, abstain={name: ABSTAIN[name] for name in sorted(draw(_ABSTAINING))})
    if "combine" in kinds:
        rules = replace(rules, combine=draw(_COMBINED))
    if "contracts" in kinds:
        rules = replace(rules, contracts=drawn_contracts(draw, tasks), severe=frozenset(pick(draw, SEVERE)))
    if "required" in kinds:
        own = {pick(draw, tasks): draw(_REQUIRED)} if draw(st.booleans()) else {}
        rules = replace(rules, require=draw(_REQUIRED), task_require=own)
    return rules


def more_calls(draw: st.DrawFn, calls: list[Raw], kinds: frozenset[str]) -> list[Raw]:
    """The calls, some with attempts, and second records of some of them."""
    if "attempts" in kinds:
        calls = [{**call, "attempts": draw(_ATTEMPTS)} for call in calls]
    if "contracts" in kinds:
        calls = [{**call, **_judged(draw)} for call in calls]
    if "parents" in kinds:
        # Another call, or itself; or named like a session.
        calls = [{**call, "parent_call_id": pick(draw, [None, *_parents(calls), "s-1"])} for call in calls]
    if "completions" in kinds:
        calls = calls + [_second(draw, call, kinds) for call in calls for _ in range(draw(st.integers(0, 2)))]
    return calls


def more_outcomes(draw: st.DrawFn, outcomes: list[Raw], kinds: frozenset[str]) -> list[Raw]:
    """The outcomes, some of them signed, and further records of some of their ids."""
    if "authors" in kinds:
        outcomes = [{**outcome, "author": pick(draw, [None, "ann", "bob", "çem"])} for outcome in outcomes]
    rest: list[Raw] = []
    for outcome in outcomes:
        if {"authors", "combine"} <= kinds:
            rest += [_also(draw, outcome, number) for number in range(pick(draw, [0, 0, 1, 2]))]
        if "editions" in kinds:
            rest += [_edition(draw, outcome) for _ in range(pick(draw, [0, 0, 1, 2]))]
        if "clearings" in kinds:
            rest += [_clearing(draw, outcome) for _ in range(pick(draw, [0, 0, 0, 1]))]
    return outcomes + rest


def _parents(calls: list[Raw]) -> list[str]:
    return [call["call_id"] for call in calls]


def _second(draw: st.DrawFn, call: Raw, kinds: frozenset[str]) -> Raw:
    """Another record of a call: what the first one lacks, other values, another time, or another call altogether."""
    later = pick(draw, [0, 0, SECOND, MINUTE, -MINUTE, DAY, DAY + 1, -DAY - 1])
    at = max(call["occurred_at"] + later, 0)
    fills = {
        "error": pick(draw, [None, None, call["error"], "timeout"]),
        "session_id": pick(draw, [None, call["session_id"], "s-1", "s-2"]),
        "latency_ms": pick(draw, [None, None, 7]),
        "cost_usd": pick(draw, [None, 0.5]),
        "attrs": pick(draw, [None, {}, {"response_model": "m-1b"}]),
        "output": pick(draw, [None, None, "text"]),
    }
    other = pick(draw, [{}, {}, {}, {}, {"model": "m-3"}, {"segment": "other"}])
    tokens = pick(draw, [{}, {"tokens": 9}, {"tokens_out": 3}])
    named = {name: call[name] for name in ("call_id", "task_type", "model", "config", "segment")}
    tried: Raw = {"attempts": draw(_ATTEMPTS)} if "attempts" in kinds else {}
    below: Raw = {"parent_call_id": pick(draw, [None, call["call_id"], "s-2"])} if "parents" in kinds else {}
    more = _judged(draw) if "contracts" in kinds else {}
    return {**named, **fills, **tokens, **other, "occurred_at": at, **tried, **below, **more}


def _judged(draw: st.DrawFn) -> Raw:
    """Fields of a call that contracts read, and the others do not; with `checks`, which say nothing of these rules."""
    tools = pick(draw, [None, None, [], 2, [{"name": "look"}], [{"name": "drop"}, {"name": "look", "ok": False}]])
    labels: list[Raw] = [{}, {}, {"attrs": {"tier": "gold"}}, {"attrs": {"tier": "gold", "end_state": "lost"}}]
    check = {"contract": "refund", "version": "1", "hash": "0", "rule": "other", "result": "fail"}
    return {"tool_calls": tools, **pick(draw, labels), **pick(draw, [{}, {}, {"checks": [check]}])}


def drawn_contracts(draw: st.DrawFn, tasks: Sequence[str]) -> tuple[OracleContract, ...]:
    """A contract in up to three versions, which begin amid the history, and one for a task type."""
    starts = sorted(draw(st.sets(st.integers(0, 2 * 24 * 60), max_size=2)))
    first = [] if draw(st.booleans()) and starts else [None]
    since = [*first, *(START + minute * MINUTE for minute in starts)]
    versions = [OracleContract("refund", str(n), _rules(draw), start=at) for n, at in enumerate(since, 1)]
    other = OracleContract("audit", "a", _rules(draw), task=pick(draw, tasks))
    return (*versions, *pick(draw, [(), (other,)]))


def _rules(draw: st.DrawFn) -> tuple[OracleRule, ...]:
    chosen = [rule for rule in RULES if draw(st.booleans())]
    return tuple(chosen or RULES[:1])


def _also(draw: st.DrawFn, outcome: Raw, number: int) -> Raw:
    """What another person says in the same place."""
    said: list[Raw] = [{"success": True}, {"success": False}, {"score": 0.69}]
    signed = {"outcome_id": f"{outcome['outcome_id'][:8]}-{number}", "author": ("eve", "fay")[number]}
    return {**_without_verdict(outcome), **pick(draw, said), **signed}


def _edition(draw: st.DrawFn, outcome: Raw) -> Raw:
    """The vote changed, at another time or the same."""
    shift = pick(draw, [0, 0, 1, SECOND, MINUTE, 10 * MINUTE, -SECOND, -MINUTE])
    values: list[Raw] = [{"success": True}, {"success": False}, {"score": 0.29}, {"score": 0.5}, {"score": 1}]
    # An edit by another person, or from elsewhere, is a conflict.
    others: list[Raw] = [{}, {}, {}, {}, {}, {"author": "dee"}, {"source": "contract"}, {"retracts": "a"}]
    moved = _without_verdict(outcome) | {"occurred_at": outcome["occurred_at"] + shift}
    return {**moved, **pick(draw, values), **pick(draw, others)}


def _clearing(draw: st.DrawFn, outcome: Raw) -> Raw:
    """The vote cleared in each of the two ways; sometimes one that was never given."""
    shift = pick(draw, [0, 1, SECOND, 2 * MINUTE, 10 * MINUTE, -SECOND])
    ways: list[Raw] = [{}, {"action": "assert"}, {"action": "retract"}, {"action": "retract"}]
    ids: list[Raw] = [{}, {}, {}, {}, {"outcome_id": "unseen"}]
    moved = _without_verdict(outcome) | {"occurred_at": outcome["occurred_at"] + shift}
    return {**moved, **pick(draw, ways), **pick(draw, ids)}


def _without_verdict(outcome: Raw) -> Raw:
    said = {"success", "score", "action", "retracts"}
    return {name: value for name, value in outcome.items() if name not in said}
