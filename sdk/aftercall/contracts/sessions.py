"""Judges the rules over one session, call by call in their order: budgets, repeated requests, overdue escalations.

The result of a call is that of its session up to and including it: a session over its budget fails at each call from
then on. The caller keeps `state`, plain values of bounded size, and hands in each call of the session once, in the
order (`occurred_at`, `call_id`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from aftercall.contracts.contract import Contract, Rule
from aftercall.contracts.facts import Facts
from aftercall.contracts.globs import Globs
from aftercall.contracts.params.base import span_us
from aftercall.contracts.params.sessions import EscalateAfter, RepeatedRequest, SessionBudget
from aftercall.contracts.records.base import amount
from aftercall.contracts.results import Finding, RuleResult, fails, in_error, not_applicable, passes

MAX_REQUESTS: Final = 256
"""So many different requests of a session are known, the newest."""
MAX_HASH: Final = 64
State = dict[str, Any]
Step = Callable[[State, Facts], Finding]


class SessionJudge:
    """The rules over sessions of one contract."""

    def __init__(self, contract: Contract) -> None:
        self.contract: Final = contract
        self.label: Final = contract.label
        self.rules: Final = tuple(rule for rule in contract.rules if rule.room == "session")
        self._steps = tuple((rule, STEPS[rule.type](rule.params)) for rule in self.rules)

    def judge(self, state: State, call: Mapping[str, Any]) -> list[RuleResult]:
        """One result per rule over sessions, in the order of the contract's rules; never an exception.

        Args:
            state: of the session under this version of the contract; empty before its first call. It is changed, holds
                plain values alone, and stays below about 30 kB per rule.
            call: the next call of the session, as for `engine.judge`.
        """
        facts = Facts(call)
        return [_result(rule, step, state.setdefault(rule.id, {}), facts) for rule, step in self._steps]


def _result(rule: Rule, step: Step, state: State, facts: Facts) -> RuleResult:
    try:
        counted = step(state, facts)  # The state moves on, whether `when` holds or not: a budget is of all calls.
        found = rule.stops(facts) or counted
        if facts.get("session_id") is None:
            found = not_applicable("the call has no session_id")
    except Exception as wrong:  # noqa: BLE001 - a rule must never cost a call
        found = in_error(f"the rule failed with {type(wrong).__name__}: a defect of aftercall, please report it")
    return found.of(rule.id, rule.type)


def session_budget(rule: SessionBudget) -> Step:
    """What the session has cost so far stays within the budget; calls that do not say a figure add nothing."""
    budgets = {"usd": rule.usd, "calls": rule.calls, "tokens": rule.tokens}

    def step(state: State, facts: Facts) -> Finding:
        added = {"usd": facts.number("cost_usd"), "calls": 1.0, "tokens": facts.tokens}
        for unit, value in added.items():
            state[unit] = state.get(unit, 0.0) + (value or 0.0)
        for unit, budget in budgets.items():
            if budget is not None and state[unit] > budget:
                words = f"{amount(state[unit])} {unit} in the session so far, more than {amount(budget)}"
                return fails(words, state[unit], budget)
        missing = [unit for unit, budget in budgets.items() if budget is not None and added[unit] is None]
        if missing:
            return not_applicable(f"the call does not say its {missing[0]}")
        return passes("within the budget, by the calls that say what they took")

    return step


def repeated_request(rule: RepeatedRequest) -> Step:
    """`attrs.input_hash` was not seen in the session `within` the span before."""
    within_us = span_us(rule.within)

    def step(state: State, facts: Facts) -> Finding:
        request, at_us = facts.label("input_hash"), facts.at_us
        if not isinstance(request, str) or not 0 < len(request) <= MAX_HASH or at_us is None:
            return not_applicable(f"the call has no attrs.input_hash of at most {MAX_HASH} characters, or no time")
        seen: dict[str, int] = state.setdefault("seen", {})
        before_us = seen.pop(request, None)
        seen[request] = at_us if before_us is None else max(before_us, at_us)
        _forget(seen, at_us - within_us)
        # A call that came late may lie before the one that it repeats.
        if before_us is not None and abs(at_us - before_us) <= within_us:
            return fails(f"the same request as {amount(abs(at_us - before_us) / 1e6)} s before", None, rule.within)
        return passes(f"no request of the {MAX_REQUESTS} before it within {rule.within} had the same hash")

    return step


def escalate_after(rule: EscalateAfter) -> Step:
    """Since its last escalation the session has fewer than `failures` calls with an error or a failed tool."""
    tools = Globs(rule.tools)

    def step(state: State, facts: Facts) -> Finding:
        if facts.label("escalated") is True or any(
            tool.name is not None and not tool.failed and tools.match(tool.name) for tool in facts.tools
        ):
            state["failures"] = 0
            return passes("escalated")
        failed = facts.failed or any(tool.failed for tool in facts.tools)
        failures = state["failures"] = state.get("failures", 0) + failed
        if failures >= rule.failures:
            words = f"{failures} calls of the session failed and it has not escalated, after {rule.failures} it must"
            return fails(words, failures, rule.failures)
        return passes(f"fewer than {rule.failures} calls of the session failed since it last escalated")

    return step


STEPS: Final[dict[str, Callable[[Any], Step]]] = {
    "session_budget": session_budget,
    "repeated_request": repeated_request,
    "escalate_after": escalate_after,
}


def _forget(seen: dict[str, int], before_us: int) -> None:
    """Drop requests that are too old to be repeated, and of more than the bound the one that came first."""
    for request in [one for one, at_us in seen.items() if at_us < before_us]:
        del seen[request]
    if len(seen) > MAX_REQUESTS:
        del seen[next(iter(seen))]
