"""Judges numbers of a call: `latency`, `cost`, and `output_length` in tokens.

`models/contracts/columns.py` has the same comparisons over arrays; a value that is equal to a bound keeps it.
"""

from __future__ import annotations

from typing import Final

from aftercall.contracts.facts import Facts
from aftercall.contracts.params.columns import CostLimit, LatencyLimit, OutputLength
from aftercall.contracts.records.base import Judge, amount
from aftercall.contracts.results import Finding, fails, in_error, not_applicable, passes

NO_LENGTH: Final = "there is nothing to compare with: set min or max"


def latency(rule: LatencyLimit) -> Judge:
    """`latency_ms` is at most `max`."""
    return lambda facts: _at_most(facts.number("latency_ms"), rule.max or 0.0, "latency_ms", "ms")


def cost(rule: CostLimit) -> Judge:
    """`cost_usd` is at most `max`."""
    return lambda facts: _at_most(facts.number("cost_usd"), rule.max or 0.0, "cost_usd", "USD")


def output_tokens(rule: OutputLength) -> Judge:
    """`tokens_out`, as the provider counted them, lies between `min` and `max`."""

    def judge(facts: Facts) -> Finding:
        length = facts.number("tokens_out")
        if rule.min is None and rule.max is None:
            return in_error(NO_LENGTH)
        return not_applicable("the call has no tokens_out") if length is None else of_length(rule, length)

    return judge


def of_length(rule: OutputLength, length: float) -> Finding:
    """What a length in the rule's unit means; both bounds belong to what is allowed."""
    if rule.min is None and rule.max is None:
        return in_error(NO_LENGTH)
    if rule.max is not None and length > rule.max:
        return fails(f"{amount(length)} {rule.unit}, more than {amount(rule.max)}", length, rule.max)
    if rule.min is not None and length < rule.min:
        return fails(f"{amount(length)} {rule.unit}, fewer than {amount(rule.min)}", length, rule.min)
    return passes(f"within the bounds, in {rule.unit}", length, rule.max if rule.max is not None else rule.min)


def _at_most(value: float | None, bound: float, field: str, unit: str) -> Finding:
    if value is None:
        return not_applicable(f"the call has no {field}")
    if value > bound:
        return fails(f"{amount(value)} {unit}, more than {amount(bound)}", value, bound)
    return passes(f"at most {amount(bound)} {unit}", value, bound)
