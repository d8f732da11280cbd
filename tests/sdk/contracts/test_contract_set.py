"""Which version of which contract judges a call."""

from __future__ import annotations

import random
from typing import Any

import pytest

from aftercall.contracts.contract import Contract, ContractError
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.syntax import contract_of
from aftercall.times import format_time, parse_time

DAY = "2026-01-{:02d}T00:00:00Z"


def version(name: str, number: int, begins: int | None, *, rules: int = 1, **head: Any) -> Contract:
    """A version whose start is a day of January."""
    start = {} if begins is None else {"effective_from": DAY.format(begins)}
    listed = [{"id": f"r{at}", "type": "latency", "max": 1} for at in range(rules)]
    return contract_of({"contract": name, "version": number, "rule": listed, **start, **head}, f"{name}-{number}.toml")


def judging(contracts: ContractSet, day: int, task: str = "refund") -> list[str]:
    return [one.label for one in contracts.judging(task, "m", "c", parse_time(DAY.format(day)))]


def test_a_call_is_judged_by_the_newest_version_at_or_before_it() -> None:
    contracts = ContractSet([version("a", 3, 20), version("a", 1, None), version("a", 2, 10)])
    assert [judging(contracts, day) for day in (1, 9, 10, 19, 20, 31)] == [
        ["a@1"],
        ["a@1"],
        ["a@2"],
        ["a@2"],
        ["a@3"],
        ["a@3"],
    ]


def test_no_version_judges_before_the_first_or_after_the_last_has_ended() -> None:
    contracts = ContractSet([version("a", 1, 5, effective_until=DAY.format(10))])
    assert [judging(contracts, day) for day in (4, 5, 9, 10)] == [[], ["a@1"], ["a@1"], []]


def test_the_version_in_effect_decides_though_its_globs_take_other_calls() -> None:
    contracts = ContractSet([version("a", 1, None), version("a", 2, 10, tasks=["triage"])])
    assert judging(contracts, 5) == ["a@1"]
    assert judging(contracts, 15) == []  # not version 1 again
    assert judging(contracts, 15, "triage") == ["a@2"]


def test_several_contracts_judge_a_call_by_name() -> None:
    contracts = ContractSet([version("b", 1, None), version("a", 7, 3), version("c", 1, None, models=["x"])])
    assert judging(contracts, 5) == ["a@7", "b@1"]
    assert judging(contracts, 1) == ["b@1"]


def test_the_start_that_a_service_has_fixed_counts() -> None:
    contracts = ContractSet([version("a", 1, None)]).starting({("a", "1"): parse_time(DAY.format(10))})
    assert [judging(contracts, day) for day in (9, 10)] == [[], ["a@1"]]
    assert contracts.by_hash(contracts.contracts[0].hash) is contracts.contracts[0]
    assert contracts.by_hash("0" * 32) is None


def test_the_choice_is_that_of_a_slow_search() -> None:
    draws = random.Random(7)
    for _ in range(200):
        days = draws.sample(range(1, 29), draws.randint(1, 5))
        globs = [draws.choice([["*"], ["refund"], ["tri*"]]) for _ in days]
        made = [version("a", at, day, tasks=globs[at]) for at, day in enumerate(days)]
        at_us = parse_time(DAY.format(draws.randint(1, 29)))
        begun = [one for one in made if one.from_us <= at_us]
        newest = max(begun, key=lambda one: one.from_us, default=None)
        wanted = [newest.label] if newest is not None and newest.tasks in {("*",), ("refund",)} else []
        assert [one.label for one in ContractSet(made).judging("refund", "m", "c", at_us)] == wanted, format_time(at_us)


@pytest.mark.parametrize(
    ("versions", "words"),
    [
        ([version("a", 1, 5), version("a", 1, 6)], "a-1.toml: version '1' of contract 'a' is also in a-1.toml"),
        (
            [version("a", 1, None), version("a", 2, None)],
            "only the first version of a contract may have no",
        ),
        ([version("a", 1, 5), version("a", 2, 5)], "a-2.toml: effective_from must differ from that of version '1'"),
        (
            [version("a", 1, 5, effective_until=DAY.format(11)), version("a", 2, 10)],
            "a-1.toml: effective_until must not lie after the effective_from of version '2'",
        ),
    ],
)
def test_versions_that_overlap_are_refused(versions: list[Contract], words: str) -> None:
    with pytest.raises(ContractError) as refused:
        ContractSet(versions)
    assert words in str(refused.value)


def test_a_version_may_end_as_the_next_begins() -> None:
    contracts = ContractSet([version("a", 1, 5, effective_until=DAY.format(10)), version("a", 2, 10)])
    assert judging(contracts, 10) == ["a@2"]


MEET = [
    ([version("a", 1, None, rules=40), version("b", 1, None, rules=25)], True),
    ([version("a", 1, None, rules=40), version("b", 1, None, rules=24)], False),
    ([version("a", 1, None, rules=40, tasks=["x*"]), version("b", 1, None, rules=40, tasks=["y*"])], False),
    ([version("a", 1, None, rules=40, tasks=["x*"]), version("b", 1, None, rules=40, tasks=["*y"])], True),
    ([version("a", 1, None, rules=40, models=["x"]), version("b", 1, None, rules=40, models=["z", "y"])], False),
    ([version("a", 1, None, rules=40), version("a", 2, 5, rules=40)], False),  # never at one time
    ([version("a", 1, 1, rules=40, effective_until=DAY.format(5)), version("b", 1, 5, rules=40)], False),
    ([version("a", 1, 1, rules=40, effective_until=DAY.format(6)), version("b", 1, 5, rules=40)], True),
    ([version(name, 1, None, rules=22) for name in "abc"], True),
    (
        [
            version("a", 1, None, rules=30, tasks=["x*", "y*"]),
            *[version(name, 1, None, rules=30, tasks=[f"{name}*"]) for name in "xy"],
        ],
        False,
    ),
    ([version(f"n{at}", 1, None) for at in range(65)], True),
    ([version(f"n{at}", 1, None) for at in range(64)], False),
]


@pytest.mark.parametrize(("contracts", "too_many"), MEET)
def test_more_than_64_rules_on_one_call_are_refused(contracts: list[Contract], too_many: bool) -> None:  # noqa: FBT001
    if not too_many:
        ContractSet(contracts)
        return
    with pytest.raises(ContractError, match=r"at most 64 rules may judge one call; .* \(narrow their tasks"):
        ContractSet(contracts)
