"""Calls through decoder, join and groups: which record of a call judges what, and what a violation states."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec

from aftercall.contracts.contract import Contract
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.results import RuleResult, TextResults
from aftercall.contracts.syntax import contract_of
from connectors.decode.contract_texts import ContractTexts
from models.contracts import ContractJudge
from models.contracts.elsewhere import found_elsewhere
from oracle.direct import Direct, join_rules
from oracle.histories import History
from oracle.order import File
from oracle.records import Rules

RULES = Rules(precedence=("human_review", "user_feedback", "contract"))
FAST = {"id": "fast", "type": "latency", "max": 2000, "severity": "critical"}
TOOLS = {"id": "tools", "type": "required_tools", "tools": ["look"], "severity": "critical"}
CHEAP = {"id": "cheap", "type": "cost", "max": 0.1}
TOPICS = {"id": "topics", "type": "prohibited_topics", "topics": {"money": ["gold"]}, "severity": "critical"}
T = "2026-03-01T12:00:{:02}Z"


def contract(*rules: dict[str, Any], version: str = "1", **more: Any) -> dict[str, Any]:
    return {"contract": "refund", "version": version, "rule": list(rules), **more}


def call(second: int = 0, **more: Any) -> dict[str, Any]:
    return {"call_id": "c", "occurred_at": T.format(second), "task_type": "refund", "model": "m", **more}


def outcome(second: int, **more: Any) -> dict[str, Any]:
    named = {"outcome_id": f"o{second}", "call_id": "c", "occurred_at": T.format(second)}
    return {**named, "source": "user_feedback", "success": True, **more}


def run(
    contracts: list[dict[str, Any]],
    calls: list[dict[str, Any]],
    outcomes: list[dict[str, Any]] = [],  # noqa: B006 - never changed
    *,
    verdict: str = "critical",
    cuts: tuple[int, ...] = (),
    rules: Rules = RULES,
) -> Direct:
    known = ContractSet(contract_of(one, "file") for one in contracts)
    judge = ContractJudge(known, msgspec.to_builtins, verdict, "all")
    files = (("calls", calls), ("outcomes", outcomes))
    lines = tuple(File(kind, tuple(json.dumps(one).encode() for one in some)) for kind, some in files if some)
    direct = Direct(join_rules(rules), judge=judge, texts=ContractTexts(known), unlearned="contract")
    direct.run(History(rules, lines), cuts, [True] * len(cuts), merged=True)
    return direct


def results(direct: Direct) -> dict[str, str]:
    return {key[-1]: result for key, result in direct.checks.items()}


def counts(direct: Direct) -> dict[tuple[str, str], int]:
    found: Counter[tuple[str, str]] = Counter()
    for (_, _, _, rule, _, result), count in direct.check_counts.items():
        found[rule, result] += count
    return {key: count for key, count in found.items() if count}


def newest(direct: Direct) -> tuple[Any, ...]:
    row = direct.newest["c"]
    return tuple(row[name] for name in ("verdict", "source", "outcome_id", "reason", "seq"))


def test_a_violation_is_a_failure_of_source_contract_at_the_calls_own_time() -> None:
    direct = run([contract(FAST)], [call(latency_ms=2500)])
    assert newest(direct) == ("failure", "contract", "contract:refund@1", "fast: 2500 ms, more than 2000", 1)
    assert direct.newest["c"]["age_s"] == 0
    assert direct.tally == {"records": 1, "calls": 1, "failures": 1}
    (statement,) = direct.statements.values()
    assert (statement[2], statement[4], statement[12]) == ("contract:refund@1", "contract", True)


def test_it_is_neither_learned_as_a_delay_nor_counted_as_a_response() -> None:
    direct = run([contract(FAST)], [call(latency_ms=2500), call(call_id="d", occurred_at="2026-03-01T13:00:00Z")])
    assert not +direct.delays
    assert not +direct.responses["statements"]
    assert not direct.responses["delays"]
    assert [key[2] for key in direct.responses["slices"]] == ["contract"]
    # A vote that replaces it is learned, and its own delay alone.
    voted = run([contract(FAST)], [call(latency_ms=2500)], [outcome(30)], cuts=(1,))
    assert list((+voted.delays).values()) == [1]
    assert all(count >= 0 for count in voted.delays.values())
    assert newest(voted)[:2] == ("success", "user_feedback")


def test_a_person_may_withdraw_it_by_source_and_by_id() -> None:
    by_source = outcome(5, source="contract", success=None, action="retract")
    by_id = outcome(5, source="human_review", success=None, action="retract", retracts="contract:refund@1")
    for retraction in (by_source, by_id):
        direct = run([contract(FAST)], [call(latency_ms=2500)], [retraction], cuts=(1,))
        assert newest(direct)[0] == "pending"
        assert newest(direct)[4] == 2


def test_with_never_nothing_but_the_checks_differs_from_a_run_without_contracts() -> None:
    calls = [call(latency_ms=2500, cost_usd=1), call(1, call_id="d", latency_ms=10)]
    judged, plain = run([contract(FAST)], calls, [outcome(9)], verdict="never"), run([], calls, [outcome(9)])
    for name in ("tally", "cells", "trials", "responses", "opinions", "delays", "values", "statements", "newest"):
        assert getattr(judged, name) == getattr(plain, name), name
    assert results(judged) == {"fast": "pass"} | {"fast": "pass"}
    assert counts(judged) == {("fast", "fail"): 1, ("fast", "pass"): 1}


def test_with_major_a_major_violation_is_a_failure_too() -> None:
    assert newest(run([contract(CHEAP)], [call(cost_usd=1)], verdict="major"))[0] == "failure"
    assert "c" not in run([contract(CHEAP)], [call(cost_usd=1)]).newest


def test_a_record_that_completes_a_call_judges_what_it_brings_and_only_that() -> None:
    direct = run([contract(FAST, CHEAP)], [call(cost_usd=0.01), call(4, cost_usd=9)], cuts=(1,))
    # Between the two records are 4 s, which is the latency of the call.
    assert results(direct) == {"fast": "fail", "cheap": "pass"}
    assert counts(direct) == {("fast", "fail"): 1, ("cheap", "pass"): 1}
    assert newest(direct)[:4] == ("failure", "contract", "contract:refund@1", "fast: 4000 ms, more than 2000")
    assert direct.tally["completed"] == 1


def test_a_rule_that_needs_what_two_records_bring_apart_stays_not_applicable() -> None:
    gold = {**CHEAP, "when": {"attrs.tier": "gold"}}
    apart = run([contract(gold)], [call(cost_usd=1), call(0, attrs={"tier": "gold"})])
    assert counts(apart) == {("cheap", "not_applicable"): 1}
    together = run([contract(gold)], [call(), call(0, attrs={"tier": "gold"}, cost_usd=1)])
    assert counts(together) == {("cheap", "fail"): 1}


def test_an_empty_list_of_tools_is_judged_once_by_the_record_that_has_it() -> None:
    later = call(0, tool_calls=[{"name": "look"}])
    empty = run([contract(TOOLS)], [call(tool_calls=[]), later], cuts=(1,))
    assert counts(empty) == {("tools", "fail"): 1}
    number = run([contract(TOOLS)], [call(tool_calls=3), later], cuts=(1,))
    assert counts(number) == {("tools", "not_applicable"): 1}
    late = run([contract(TOOLS)], [call(), call(0, tool_calls=[{"name": "other"}])], cuts=(1,))
    assert counts(late) == {("tools", "fail"): 1}
    assert newest(late)[0] == "failure"


def test_duplicates_conflicts_and_calls_that_are_too_old_are_never_judged() -> None:
    rules = replace(RULES, horizon_us=60_000_000, allowed_lateness_us=0)
    old = call(call_id="old", occurred_at="2026-03-01T10:00:00Z", latency_ms=9999)
    calls = [call(latency_ms=10), call(latency_ms=9999), call(latency_ms=9999, model="other"), old]
    direct = run([contract(FAST)], calls, rules=rules)
    assert counts(direct) == {("fast", "pass"): 1}
    assert sorted(reason for reason, _ in direct.dead) == ["conflict", "too_old"]
    assert direct.tally["failures"] == 0


def test_a_call_is_judged_by_the_version_in_force_at_its_time_also_where_a_later_record_completes_it() -> None:
    strict = contract({**FAST, "max": 1}, version="2", effective_from=T.format(10))
    calls = [call(9, call_id="before", latency_ms=5), call(10, call_id="after", latency_ms=5), call(9)]
    direct = run([contract(FAST), strict], [*calls, call(30, latency_ms=5)])
    assert {key[0]: (key[3], result) for key, result in direct.checks.items()} == {
        "before": ("1", "pass"),
        "after": ("2", "fail"),
        "c": ("1", "pass"),
    }


def test_checks_of_the_producer_count_where_no_text_is_seen_and_the_version_is_known() -> None:
    (known,) = ContractSet([contract_of(contract(TOPICS), "file")])
    check = {"contract": "refund", "version": "1", "hash": known.hash, "rule": "topics", "result": "fail"}
    direct = run([contract(TOPICS)], [call(checks=[{**check, "details": "topic money"}])])
    assert counts(direct) == {("topics", "fail"): 1}
    assert newest(direct)[3] == "topics: topic money"
    unknown = run([contract(TOPICS)], [call(checks=[{**check, "hash": "0"}])])
    assert counts(unknown) == {("topics", "not_applicable"): 1}
    nothing = run([contract(TOPICS)], [call()])
    assert counts(nothing) == {("topics", "not_applicable"): 1}
    # A later record with checks is one with the texts: it judges once.
    late = run([contract(TOPICS)], [call(), call(0, checks=[check]), call(0, checks=[{**check, "result": "pass"}])])
    assert counts(late) == {("topics", "fail"): 1}


def test_two_contracts_make_two_statements_and_one_contract_one() -> None:
    other = {**contract(FAST, TOOLS), "contract": "audit"}
    direct = run([contract(FAST), other], [call(latency_ms=2500, tool_calls=[])])
    assert {row[2]: row[10] for row in direct.statements.values()} == {
        "contract:audit@1": "fast: 2500 ms, more than 2000; tools: did not call look",
        "contract:refund@1": "fast: 2500 ms, more than 2000",
    }


def test_tokens_that_come_with_a_later_record_are_judged_then() -> None:
    short = {"id": "short", "type": "output_length", "max": 100}
    assert counts(run([contract(short)], [call(), call(0, tokens_out=500)])) == {("short", "fail"): 1}


def test_a_rule_that_lacked_one_of_two_fields_is_judged_by_the_record_that_has_both() -> None:
    gold = {**CHEAP, "when": {"attrs.tier": "gold"}}
    direct = run([contract(gold)], [call(attrs={"tier": "gold"}), call(0, attrs={"tier": "gold"}, cost_usd=1)])
    assert counts(direct) == {("cheap", "fail"): 1}


def test_results_of_the_users_own_code_come_with_a_later_record_too() -> None:
    own = {"id": "own", "type": "python", "function": "checks:right"}
    (known,) = ContractSet([contract_of(contract(own), "file")])
    check = {"contract": "refund", "version": "1", "hash": known.hash, "rule": "own", "result": "fail"}
    assert counts(run([contract(own)], [call(), call(0, checks=[check])])) == {("own", "fail"): 1}
    assert counts(run([contract(own)], [call()])) == {("own", "not_applicable"): 1}


def test_only_what_is_severe_states_a_failure_also_where_a_later_record_brings_it() -> None:
    direct = run([contract(FAST, CHEAP)], [call(), call(1, cost_usd=9)])
    assert counts(direct) == {("fast", "pass"): 1, ("cheap", "fail"): 1}
    assert direct.statements == {}
    mixed = run([contract(TOOLS, CHEAP)], [call(), call(0, tool_calls=[{"name": "other"}], cost_usd=9)])
    assert newest(mixed)[3] == "tools: did not call look"


def test_of_one_contract_the_first_violation_is_the_statement_also_over_two_records() -> None:
    calls = [call(tool_calls=[{"name": "other"}]), call(4)]
    for cuts in ((), (1,)):
        direct = run([contract(FAST, TOOLS)], calls, cuts=cuts)
        assert counts(direct) == {("fast", "fail"): 1, ("tools", "fail"): 1}
        assert [row[10] for row in direct.statements.values()] == ["tools: did not call look"]
        assert newest(direct)[4] == 1, "one statement is in the ledger"


def test_a_later_record_is_judged_as_of_the_calls_own_time() -> None:
    policy = {
        "id": "policy",
        "type": "policy_version",
        "latest": {"v1": T.format(0), "v2": T.format(30)},
        "grace": "1s",
    }
    calls = [call(10), call(50, policy_version="v1")]
    assert counts(run([contract(policy)], calls)) == {("policy", "pass"): 1}
    assert counts(run([contract(policy)], [call(50, policy_version="v1")])) == {("policy", "fail"): 1}


def test_what_is_not_applicable_to_a_later_record_either_has_one_row() -> None:
    gold = {**CHEAP, "when": {"attrs.tier": "gold"}}
    direct = run([contract(gold)], [call(), call(0, attrs={"tier": "iron"}, cost_usd=1)])
    assert counts(direct) == {("cheap", "not_applicable"): 1}
    assert [row.details for row in direct.check_rows] == ["when: the call has no attrs.tier"]


def test_where_a_record_finds_otherwise_than_its_producer_that_is_counted() -> None:
    checked = contract({**TOPICS, "severity": "major"})
    (known,) = ContractSet([contract_of(checked, "file")])
    check = {"contract": "refund", "version": "1", "hash": known.hash, "rule": "topics", "result": "pass"}
    both: dict[str, Any] = {"output": "gold", "checks": [check]}
    for calls in ([call(**both)], [call(), call(0, **both)]):
        direct = run([checked], calls)
        assert counts(direct) == {("topics", "fail"): 1}
        assert direct.tally["checks_disagreed"] == 1
    agreed = run([checked], [call(), call(0, output="silver", checks=[check])])
    assert (counts(agreed), agreed.tally["checks_disagreed"]) == ({("topics", "pass"): 1}, 0)


def test_what_the_lane_finds_stands_but_where_it_has_nothing_to_judge_by() -> None:
    checked = contract({**TOPICS, "severity": "major"})
    (known,) = ContractSet([contract_of(checked, "file")])
    check = {"contract": "refund", "version": "1", "hash": known.hash, "rule": "topics", "result": "pass"}
    found = RuleResult("topics", "prohibited_topics", "fail")
    assert _elsewhere(known, found, [check]) == ("fail", True)
    assert _elsewhere(known, found._replace(result="error"), [check]) == ("error", False)
    assert _elsewhere(known, found._replace(result="not_applicable"), [check]) == ("pass", False)
    assert _elsewhere(known, found._replace(result="not_applicable"), None) == ("not_applicable", False)
    assert _elsewhere(known, found, [check], version="0") == ("pass", False), "another version has found it"


def _elsewhere(
    known: Contract, found: RuleResult, checks: list[dict[str, Any]] | None, version: str = "1"
) -> tuple[str, bool]:
    """What counts where the lane has found this, and the producer these checks."""
    sent = None if checks is None else [SimpleNamespace(**_CHECK | check) for check in checks]
    record = SimpleNamespace(checks=sent)
    texts = [TextResults("refund", version, (found,))]
    result, disagreed = found_elsewhere(known, known.rules[0], record, texts, lambda _: {})
    return result.result, disagreed


_CHECK: dict[str, Any] = {"actual": None, "threshold": None, "details": None}
