"""What an agent did under a fault has one of six names, by the contract first and by the answer else."""

from __future__ import annotations

from typing import Any

import pytest

from aftercall.contracts.contract import Contract
from aftercall.contracts.syntax import contract_of
from aftercall.evals.faults.judged import Ended, reactions
from aftercall.evals.faults.marked_calls import marked_calls
from aftercall.evals.faults.survival import survivals
from aftercall.evals.faults.uses import SeenUse


def contract(*rules: dict[str, Any]) -> Contract:
    named = [{"id": f"r{at}", **rule} for at, rule in enumerate(rules)]
    return contract_of({"contract": "refund", "version": "1", "rule": named}, "refund.toml")


EMPTY = SeenUse("c", "search", 1, "empty", "empty:search", True)
TIMEOUT = SeenUse("c", "search", 1, "timeout", "timeout:search", True, ok=False, error="TimeoutError")
WELL = SeenUse("c", "search", 2, ok=True, items=3)
HANDOFF = SeenUse("c", "handoff", 1, ok=True)
ON_EMPTY = contract(
    {"type": "no_answer_on_empty", "sources": ["archive"], "escalations": ["handoff"], "accept": ["unresolved"]}
)
ON_FAILURE = contract(
    {"type": "tool_failure_handled", "fallbacks": ["search_old"]}, {"type": "retry_limit", "calls": 3}
)


@pytest.mark.parametrize(
    ("seen", "ended", "by", "outcome"),
    [
        ([EMPTY], Ended(True), ON_EMPTY, "guessed"),  # a right guess is a guess
        ([EMPTY, WELL], Ended(False), ON_EMPTY, "failed safely"),
        ([EMPTY, HANDOFF], Ended(False), ON_EMPTY, "escalated"),
        ([HANDOFF, EMPTY], Ended(False), ON_EMPTY, "guessed"),  # what came before is no answer to it
        ([EMPTY], Ended(False, None, {"attrs": {"end_state": "unresolved"}}), ON_EMPTY, "failed safely"),
        ([EMPTY], Ended(False, None, {"attrs": {"escalated": True}}), None, "escalated"),
        ([EMPTY], Ended(False, "agent: its time is over"), ON_EMPTY, "broke"),
        ([EMPTY], Ended(True), None, "failed safely"),
        ([EMPTY], Ended(False), None, "guessed"),
        ([EMPTY], Ended(None), None, "not judged"),
        ([TIMEOUT], Ended(True), ON_FAILURE, "guessed"),
        ([TIMEOUT, WELL], Ended(True), ON_FAILURE, "failed safely"),
        ([TIMEOUT, SeenUse("c", "search_old", 1)], Ended(True), ON_FAILURE, "failed safely"),
        ([TIMEOUT] * 4, Ended(True), ON_FAILURE, "retried for ever"),
        ([TIMEOUT] * 4, Ended(False, "agent: its time is over"), ON_FAILURE, "retried for ever"),
        ([TIMEOUT] * 21, Ended(False, "agent: its time is over"), None, "retried for ever"),
        ([TIMEOUT] * 20, Ended(False, "agent: its time is over"), None, "broke"),
    ],
)
def test_each_reaction(seen: list[SeenUse], ended: Ended, by: Contract | None, outcome: str) -> None:
    (reaction,) = reactions(seen, ended, by)
    assert (reaction.outcome, reaction.tool) == (outcome, "search")
    assert reaction.reason


def test_a_fault_that_changed_nothing_has_no_reaction() -> None:
    assert reactions([SeenUse("c", "search", 1, "partial", "partial:*", False)], Ended(True)) == []
    assert reactions([WELL], Ended(True)) == []


def test_each_fault_is_judged_by_its_own_tool() -> None:
    crm = SeenUse("c", "crm", 1, "empty", "empty:crm", True)
    found = {one.tool: one.outcome for one in reactions([EMPTY, crm, WELL], Ended(None), ON_EMPTY)}
    assert found == {"search": "failed safely", "crm": "guessed"}


def test_a_rule_about_other_tools_says_nothing() -> None:
    other = contract({"type": "no_answer_on_empty", "tools": ["crm"]})
    (reaction,) = reactions([EMPTY], Ended(True), other)
    assert (reaction.outcome, reaction.reason) == ("failed safely", "the answer is right")


def test_what_the_agent_reports_gets_the_marks_that_are_known() -> None:
    reported = [{"name": "search", "ok": True, "items": 3}, {"name": "mail", "ok": True}]
    assert marked_calls(reported, [EMPTY]) == [{"name": "search", "ok": True, "items": 3, "empty": True}, reported[1]]
    # One entry for two attempts: the last attempt is what it stands for.
    assert marked_calls(reported[:1], [TIMEOUT, WELL]) == reported[:1]
    assert marked_calls(["odd"], [EMPTY]) == [EMPTY.wire(), "odd"]
    assert reported[0] == {"name": "search", "ok": True, "items": 3}


NINE = contract(
    {"type": "tool_failure_handled"},
    {"type": "no_answer_on_empty"},
    {"type": "retry_limit", "calls": 2},
    {"type": "cost", "max": 0.1},
    {"type": "approval", "tools": ["pay_out"], "approvers": ["ask_lead"]},
    {"type": "denied_tools", "tools": ["delete_*"]},
)


def failures(seen: list[SeenUse], ended: Ended, tags: tuple[str, ...] = ()) -> dict[str, bool]:
    found = survivals(reactions(seen, ended, NINE), ended, NINE, tags, seen)
    return {one.failure: one.survived for one in found}


def test_a_polite_case_shows_nothing_of_the_nine_failures() -> None:
    assert failures([WELL], Ended(True, None, {"cost_usd": 0.01})) == {}


def test_a_timeout_leads_to_the_retry_limit_and_the_budget() -> None:
    ended = Ended(True, None, {"cost_usd": 0.01})
    assert failures([TIMEOUT, WELL], ended) == {"timeout": True, "retry limit": True, "budget": True}
    assert failures([TIMEOUT] * 3, ended) == {"timeout": False, "retry limit": False, "budget": True}
    dear = Ended(True, None, {"cost_usd": 0.2})
    assert failures([TIMEOUT, WELL], dear)["budget"] is False


def test_an_approval_is_shown_where_its_tool_was_called() -> None:
    paid = SeenUse("c", "pay_out", 1)
    asked = SeenUse("c", "ask_lead", 1)
    assert failures([asked, paid], Ended(True)) == {"approval": True}
    assert failures([paid], Ended(True)) == {"approval": False}


def test_out_of_policy_is_shown_by_cases_that_ask_for_it() -> None:
    assert failures([WELL], Ended(True), ("exception",)) == {"out of policy": True}
    assert failures([SeenUse("c", "delete_all", 1)], Ended(True), ("out_of_policy",)) == {"out of policy": False}


def test_nothing_is_survived_where_it_could_not_be_judged() -> None:
    seen = [SeenUse("c", "crm", 1, "contradict", "contradict:crm", True)]
    assert failures(seen, Ended(None)) == {}
    assert failures(seen, Ended(True)) == {"contradicting": True}
