"""Wherever a call is judged, the same rules find the same.

The guard makes the call, out of an agent that does what a case says; every other place judges the event that it sent. A
place is an entry of `PLACES`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

from aftercall import Client
from aftercall.contracts.contract import Contract
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.engine import judge
from aftercall.contracts.files import read_contract
from aftercall.contracts.results import RESULTS, RuleResult
from aftercall.testing import MemoryTransport
from aftercall.times import MINUTE_US, format_time
from connectors.decode.contract_texts import ContractTexts
from connectors.decode.decoder import Decoder
from flows.contract_check.findings import Findings
from flows.contract_check.past_calls import PastCalls
from flows.replay import Replay, run
from flows.reports.snapshot_reader import open_snapshot
from flows.settings import load
from flows.settings.for_models import session_rules
from harness.contracts import contract
from harness.guarding import code, guarding, sent, written
from models.sessions import times_of
from suites.traffic import START_US

RULES: Final[list[dict[str, Any]]] = [
    {"id": "cost", "type": "cost", "max": 0.5},
    {"id": "tokens", "type": "output_length", "max": 100},
    {"id": "words", "type": "output_length", "unit": "words", "max": 4},
    {"id": "json", "type": "format", "as": "json"},
    {"id": "form", "type": "format", "as": "markdown", "require": ["list"], "when": {"attrs.tier": "gold"}},
    {"id": "rivals", "type": "prohibited_topics", "topics": {"rivals": ["caf\u00e9", "Stra\u00dfe"]}},
    {"id": "asked", "type": "required_topics", "topics": {"refund": ["refund"]}, "where": "input"},
    {"id": "safe", "type": "safety"},
    {"id": "data", "type": "restricted_data", "detect": ["card", "email"]},
    {"id": "allowed", "type": "allowed_tools", "tools": ["search", "pay*"]},
    {"id": "retry", "type": "retry_limit", "attempts": 3, "calls": 2},
    {"id": "handled", "type": "tool_failure_handled", "escalations": ["ask_lead"], "accept": ["escalated"]},
    {"id": "stale", "type": "stale_data"},
    {"id": "policy", "type": "policy_version", "latest": {"p1": "2020-01-01T00:00:00Z", "p2": "2024-01-01T00:00:00Z"}},
    {"id": "asks", "type": "approval", "tools": ["pay_out"], "approvers": ["ask_lead"]},
    {"id": "end", "type": "safe_end_state", "allowed": ["resolved", "escalated"]},
    {"id": "empty", "type": "no_answer_on_empty", "accept": ["escalated"]},
    {"id": "docs", "type": "documents", "denied": ["draft-*"]},
    code("has_order"),
]


LATER_US: Final = 2**62
"""A time after all calls, for the clock of the decoder."""


class Case(NamedTuple):
    """What an agent is given, answers, sets on its call, and which tools it uses."""

    given: str
    answer: Any
    fields: Mapping[str, Any] = {}
    tools: tuple[Mapping[str, Any], ...] = ()


CASES: Final[dict[str, Case]] = {
    "plain": Case("a refund", "the order is here", {"tokens_out": 12, "cost_usd": 0.1, "policy_version": "p2"}),
    "all is broken": Case("hello", "CAFE\u0301, 4111 1111 1111 1111", {"tokens_out": 300, "cost_usd": 2.0}),
    "near misses": Case("Refunds", "caf\u00e9s of 4111 1111 1111 1112", {"tokens_out": 100, "cost_usd": 0.5}),
    "spelled otherwise": Case("RE\u00adFUND", "in der STRASSE", {"policy_version": "p1"}),
    "json": Case("refund", '{"order": [1, 2]}', {"attrs": {"tier": "gold"}}),
    "a response of a provider": Case("refund", {"choices": [{"message": {"content": "- one\n- order"}}]}),
    "a list where it must be": Case("refund", "- order\n- two", {"attrs": {"tier": "gold", "end_state": "resolved"}}),
    "nothing is answered": Case("refund", None, {"attrs": {"end_state": "left"}}),
    "a number": Case("refund", 7),
    "half a character": Case("refund", "order \ud800"),
    "retried and handled": Case(
        "refund",
        "order",
        {},
        ({"name": "search", "ok": False, "attempts": 3}, {"name": "search", "ok": True, "attempts": 4}),
    ),
    "failed and escalated": Case("refund", "order", {}, ({"name": "search", "ok": False}, {"name": "ask_lead"})),
    "failed and not handled": Case("refund", "order", {}, ({"name": "search", "ok": False, "error": "away"},)),
    "paid without approval": Case("refund", "order", {"attrs": {"end_state": "resolved"}}, ({"name": "pay_out"},)),
    "paid with approval": Case("refund", "order", {"attrs": {"approved": True}}, ({"name": "pay_out"},)),
    "old, empty and in drafts": Case(
        "refund",
        "order",
        {},
        ({"name": "search", "stale": True, "empty": True, "documents": [{"id": "draft-1", "version": "2"}]},),
    ),
    "documents": Case("refund", "order", {}, ({"name": "search", "documents": [{"id": "a"}], "items": 1},)),
    "many of one tool": Case("refund", "order", {}, ({"name": "search", "ok": True},) * 3),
}


class Judged(NamedTuple):
    """A call as it was sent with its texts, and the contract."""

    event: Mapping[str, Any]
    contract: Contract


Results = list[tuple[str, str, float | str | None, float | str | None, str]]


def _plain(found: list[RuleResult]) -> Results:
    return [(one.rule, one.result, one.actual, one.threshold, one.details) for one in found]


def engine(judged: Judged) -> Results:
    """As `aftercall contract check` and evaluations judge a record."""
    return _plain([one for one in judge(judged.contract, judged.event) if one.type != "python"])


def lane(judged: Judged) -> Results:
    """As the decoder judges texts, before they are dropped."""
    raw = json.dumps(judged.event).encode()
    decoder = Decoder(now_us=LATER_US, max_future_skew_us=0, contracts=ContractTexts(ContractSet([judged.contract])))
    batch = decoder.decode([raw], np.zeros(1, np.uint8), np.zeros(1, np.int32), np.ones(1, np.int64), ["p"])
    assert batch.text_results is not None
    (found,) = batch.text_results
    return [] if found is None else _plain(list(found[0].results))


def wire(judged: Judged) -> Results:
    """As they are sent by those whose texts stay in the process."""
    return [
        (one["rule"], one["result"], one.get("actual"), one.get("threshold"), one.get("details", ""))
        for one in judged.event["checks"]
    ]


PLACES: Final[dict[str, Callable[[Judged], Results]]] = {"engine": engine, "lane": lane, "wire": wire}
"""What each gives for rules that it judges; of the others it has none."""


@pytest.fixture(scope="module")
def contract_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("contracts"), *RULES)


def guarded(contract_file: Path, case: Case) -> tuple[Results, Judged]:
    """What the guard finds, and the call."""
    client = Client(transport=MemoryTransport(), capture="text")

    def agent(text: str) -> Any:
        call = client.current_call()
        call.set(**case.fields)
        for tool in case.tools:
            with call.tool(tool["name"]) as used:
                used.set(**tool)
        return case.answer

    with guarding(contract_file, at_once=True, client=client) as guard:
        checks = guard.call(case.given, agent).verification.checks
        (event,) = sent(guard)
    return [check[3:4] + check[6:] for check in checks], Judged(event, read_contract(contract_file))


@pytest.mark.parametrize("name", CASES)
def test_a_call_has_the_same_results_wherever_it_is_judged(name: str, contract_file: Path) -> None:
    found, judged = guarded(contract_file, CASES[name])
    by_rule = {one[0]: one for one in found}
    assert [one[0] for one in found] == [rule["id"] for rule in RULES]
    for place, judge_there in PLACES.items():
        there = judge_there(judged)
        assert there == [by_rule[one[0]] for one in there], place
    assert [one[0] for one in engine(judged)] == [rule["id"] for rule in RULES if rule["type"] != "python"]


def test_the_cases_break_and_keep_each_rule(contract_file: Path) -> None:
    """Else the suite would not see a place that never judges it."""
    seen: dict[str, set[str]] = {rule["id"]: set() for rule in RULES}
    for case in CASES.values():
        for one in guarded(contract_file, case)[0]:
            seen[one[0]].add(one[1])
    bare = seen.pop("safe")
    assert bare <= {"error", "not_applicable"}
    assert {rule: results for rule, results in seen.items() if not {"pass", "fail"} <= results} == {}


SESSION_RULES: Final[list[dict[str, Any]]] = [
    {"id": "usd", "type": "session_budget", "usd": 0.6},
    {"id": "calls", "type": "session_budget", "calls": 4, "when": {"attrs.tier": "gold"}},
    {"id": "again", "type": "repeated_request", "within": "5m"},
    {"id": "asks", "type": "escalate_after", "failures": 2, "tools": ["ask_lead"]},
]
MONTH: Final = 31 * 24 * 60


def conversations(draw: Random) -> list[dict[str, Any]]:
    """Calls of few sessions over two months, some without one; second records of some add to them, at once or later."""
    calls: list[dict[str, Any]] = []
    for number in range(120):
        at = START_US + (draw.randrange(90) + MONTH * draw.randrange(2)) * MINUTE_US + draw.randrange(MINUTE_US)
        labels = {"tier": draw.choice(["gold", "free"]), "input_hash": draw.choice("abcdef")}
        tools = [{"name": draw.choice(["search", "ask_lead"]), "ok": draw.random() < 0.6}]
        said = {"cost_usd": draw.random() / 3, "attrs": labels, "tool_calls": tools}
        named = {"call_id": f"c{number}", "task_type": "t", "model": "m", "session_id": f"s{draw.randrange(4)}"}
        first = {**named, "occurred_at": at, **{name: value for name, value in said.items() if draw.random() < 0.8}}
        later = {**named, "occurred_at": at + draw.choice([0, MINUTE_US, 20 * MINUTE_US]), **said}
        if draw.random() < 0.2:
            del draw.choice([first, later])["session_id"]
        calls += [first, later] if draw.random() < 0.4 else [first]
    draw.shuffle(calls)
    return [{**call, "occurred_at": format_time(call["occurred_at"])} for call in calls]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_dataflow_finds_in_sessions_what_the_check_finds(tmp_path: Path, seed: int) -> None:
    """Call by call, of what was checked, and in numbers of the rest."""
    calls, half = conversations(Random(seed)), 60
    paths = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for path, some in zip(paths, (calls[:half], calls[half:]), strict=True):
        path.write_text("".join(json.dumps(call) + "\n" for call in some))
    later = {"version": "2", "effective_from": format_time(START_US + 60 * MINUTE_US)}
    contracts = ContractSet([contract(*SESSION_RULES), contract(*SESSION_RULES[2:], **later)])
    (tmp_path / "contracts").mkdir()
    for one in contracts:
        (tmp_path / "contracts" / f"{one.version}.json").write_text(json.dumps(one.canonical() | _since(one)))
    settings = load(None, contracts={"folder": str(tmp_path / "contracts")}, snapshot={"checks": "all"})
    findings = Findings(contracts, times_of(session_rules(settings)))
    for call in PastCalls(paths, tmp_path, settings):
        findings.add(call)
    findings.finish()
    run(Replay(paths, [], tmp_path / "out", settings))
    with open_snapshot(tmp_path / "out/outcomes.duckdb") as base:
        rows = base.sql("SELECT contract_version, rule, result, call_id FROM checks WHERE result IN ('pass', 'fail')")
        checked = sorted(rows.fetchall())
        sums = "sum(passed), sum(failed), sum(not_applicable), sum(errors)"
        grain = "grain = '1h' AND model IS NOT NULL AND config IS NOT NULL"
        counted = base.sql(f"SELECT contract_version, rule, {sums} FROM check_rates WHERE {grain} GROUP BY ALL")
        counts = {(version, rule): tuple(some) for version, rule, *some in counted.fetchall()}
    found = {(one.contract.version, one.rule.id): one for one in findings}
    wanted = [(*key, "pass", call) for key, one in found.items() for call in one.passed]
    wanted += [(*key, "fail", call) for key, one in found.items() for call in one.failed]
    assert checked == sorted(wanted)
    assert counts == {key: tuple(one.results[result] for result in RESULTS) for key, one in found.items()}
    assert {rule for (_, rule), some in counts.items() if some[1] and some[2]} == {one["id"] for one in SESSION_RULES}


def _since(one: Contract) -> dict[str, Any]:
    return {} if one.effective_from_us is None else {"effective_from": format_time(one.effective_from_us)}
