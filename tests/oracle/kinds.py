"""Hypothesis strategies for what people do to records: edit and clear votes, sign them, complete calls, fall back.

Each kind is drawn where a history asks for it, and else draws nothing, so that histories without kinds stay as they
were.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oracle.records import Rules

Raw = dict[str, Any]
"""The fields of a record's JSON, times in microseconds."""
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
KINDS: Final = frozenset(
    {"editions", "clearings", "abstentions", "authors", "combine", "required", "completions", "attempts"}
)
WITHOUT_SETTINGS: Final = frozenset({"completions", "attempts"})
"""Those that no setting switches on."""
ABSTAIN: Final = {
    "user_feedback": (0.3, 0.69),
    "human_review": (0.5, 0.5),
    "judge": (0.0, 0.3),
    "toxicity": (0.0, 0.29),
}
"""None holds the bound of its source, and scores that are drawn lie in each."""
HOW: Final = ("newest", "majority", "mean", "all", "any")


@st.composite
def with_kinds(draw: st.DrawFn, rules: Rules, kinds: frozenset[str], tasks: Sequence[str]) -> Rules:
    """The rules, and settings for these kinds."""
    sources = st.sampled_from(sorted(ABSTAIN))
    if kinds & {"editions", "clearings"}:
        rules = replace(rules, revises=draw(st.frozensets(sources, min_size=1)))
    if "abstentions" in kinds:
        rules = replace(rules, abstain={name: ABSTAIN[name] for name in sorted(draw(st.sets(sources, min_size=1)))})
    if "combine" in kinds:
        rules = replace(rules, combine=draw(st.dictionaries(sources, st.sampled_from(HOW))))
    if "required" in kinds:
        required = st.lists(sources, max_size=2, unique=True).map(tuple)
        own = draw(st.dictionaries(st.sampled_from(tasks), required, max_size=1))
        rules = replace(rules, require=draw(required), task_require=own)
    return rules


@st.composite
def more_calls(draw: st.DrawFn, calls: list[Raw], kinds: frozenset[str]) -> list[Raw]:
    """The calls, some with attempts, and second records of some of them."""
    if "attempts" in kinds:
        calls = [{**call, "attempts": draw(st.one_of(st.none(), _attempts()))} for call in calls]
    if "completions" in kinds:
        calls = calls + [draw(_second(call, kinds)) for call in calls for _ in range(draw(st.integers(0, 2)))]
    return calls


@st.composite
def more_outcomes(draw: st.DrawFn, outcomes: list[Raw], kinds: frozenset[str]) -> list[Raw]:
    """The outcomes, some of them signed, and further records of some of their ids."""
    if "authors" in kinds:
        outcomes = [{**outcome, "author": draw(st.sampled_from([None, "ann", "bob", "çem"]))} for outcome in outcomes]
    rest: list[Raw] = []
    for outcome in outcomes:
        if {"authors", "combine"} <= kinds:
            rest += [draw(_also(outcome, number)) for number in range(draw(st.sampled_from([0, 0, 1, 2])))]
        if "editions" in kinds:
            rest += [draw(_edition(outcome)) for _ in range(draw(st.sampled_from([0, 0, 1, 2])))]
        if "clearings" in kinds:
            rest += [draw(_clearing(outcome)) for _ in range(draw(st.sampled_from([0, 0, 0, 1])))]
    return outcomes + rest


@st.composite
def _attempts(draw: st.DrawFn) -> list[Raw]:
    one = st.fixed_dictionaries(
        {"model": st.sampled_from(["m-1", "m-9"])},
        optional={
            "config": st.sampled_from([None, "v2"]),
            "error": st.sampled_from([None, "429", "429", "timeout"]),
            "latency_ms": st.sampled_from([0, 90]),
            "cost_usd": st.sampled_from([None, 0.001]),
        },
    )
    return draw(st.lists(one, max_size=3))


@st.composite
def _second(draw: st.DrawFn, call: Raw, kinds: frozenset[str]) -> Raw:
    """Another record of a call: what the first one lacks, other values, another time, or another call altogether."""
    later = draw(st.sampled_from([0, 0, SECOND, MINUTE, -MINUTE, DAY, DAY + 1, -DAY - 1]))
    at = max(call["occurred_at"] + later, 0)
    fills = {
        "error": draw(st.sampled_from([None, None, call["error"], "timeout"])),
        "session_id": draw(st.sampled_from([None, call["session_id"], "s-1", "s-2"])),
        "latency_ms": draw(st.sampled_from([None, None, 7])),
        "cost_usd": draw(st.sampled_from([None, 0.5])),
        "attrs": draw(st.sampled_from([None, {}, {"response_model": "m-1b"}])),
        "output": draw(st.sampled_from([None, None, "text"])),
    }
    other = draw(st.sampled_from([{}, {}, {}, {}, {"model": "m-3"}, {"segment": "other"}]))
    tokens = draw(st.sampled_from([{}, {"tokens": 9}, {"tokens_out": 3}]))
    named = {name: call[name] for name in ("call_id", "task_type", "model", "config", "segment")}
    tried: Raw = {"attempts": draw(st.one_of(st.none(), _attempts()))} if "attempts" in kinds else {}
    return {**named, **fills, **tokens, **other, "occurred_at": at, **tried}


@st.composite
def _also(draw: st.DrawFn, outcome: Raw, number: int) -> Raw:
    """What another person says in the same place."""
    said: list[Raw] = [{"success": True}, {"success": False}, {"score": 0.69}]
    signed = {"outcome_id": f"{outcome['outcome_id'][:8]}-{number}", "author": ("eve", "fay")[number]}
    return {**_without_verdict(outcome), **draw(st.sampled_from(said)), **signed}


@st.composite
def _edition(draw: st.DrawFn, outcome: Raw) -> Raw:
    """The vote changed, at another time or the same."""
    shift = draw(st.sampled_from([0, 0, 1, SECOND, MINUTE, 10 * MINUTE, -SECOND, -MINUTE]))
    values: list[Raw] = [{"success": True}, {"success": False}, {"score": 0.29}, {"score": 0.5}, {"score": 1}]
    # An edit by another person, or from elsewhere, is a conflict.
    others: list[Raw] = [{}, {}, {}, {}, {}, {"author": "dee"}, {"source": "contract"}, {"retracts": "a"}]
    moved = _without_verdict(outcome) | {"occurred_at": outcome["occurred_at"] + shift}
    return {**moved, **draw(st.sampled_from(values)), **draw(st.sampled_from(others))}


@st.composite
def _clearing(draw: st.DrawFn, outcome: Raw) -> Raw:
    """The vote cleared in each of the two ways; sometimes one that was never given."""
    shift = draw(st.sampled_from([0, 1, SECOND, 2 * MINUTE, 10 * MINUTE, -SECOND]))
    ways: list[Raw] = [{}, {"action": "assert"}, {"action": "retract"}, {"action": "retract"}]
    ids: list[Raw] = [{}, {}, {}, {}, {"outcome_id": "unseen"}]
    moved = _without_verdict(outcome) | {"occurred_at": outcome["occurred_at"] + shift}
    return {**moved, **draw(st.sampled_from(ways)), **draw(st.sampled_from(ids))}


def _without_verdict(outcome: Raw) -> Raw:
    said = {"success", "score", "action", "retracts"}
    return {name: value for name, value in outcome.items() if name not in said}
