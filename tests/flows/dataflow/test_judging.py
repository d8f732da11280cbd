"""Shards on several threads judge beside each other: each has a judge of its own."""

from __future__ import annotations

from aftercall.contracts.contract_set import ContractSet
from flows.dataflow.judging import judge_of
from flows.dataflow.steps import Joining, join_step
from flows.dataflow.stored_state import Keeping
from flows.settings import Settings
from flows.settings.for_models import join_rules
from harness.contracts import contract
from models.contracts import ContractJudge
from models.state import Envelopes


def test_each_shard_has_a_judge_of_its_own() -> None:
    make = judge_of(Settings(), ContractSet([contract({"type": "latency", "max": 500})]))
    assert make is not None
    made: list[ContractJudge] = []

    def noted() -> ContractJudge:
        made.append(make())
        return made[-1]

    build = join_step(join_rules(Settings()), Keeping(Envelopes()), Joining(judge=noted))
    for _ in range(2):
        build(None)
    assert len(set(map(id, made))) == len(made) == 2


def test_violations_that_are_published_are_found_whatever_the_snapshot_keeps() -> None:
    contracts = ContractSet([contract({"type": "latency", "max": 500})])
    kept = {}
    for checks, publish in (("none", False), ("none", True), ("failed", True), ("all", True)):
        settings = Settings.model_validate({"snapshot": {"checks": checks}, "contracts": {"publish": publish}})
        make = judge_of(settings, contracts)
        assert make is not None
        kept[checks, publish] = make()._book.kept
    assert kept["none", False] == frozenset()
    assert kept["none", True] == kept["failed", True] == {"fail", "error"}
    assert kept["all", True] > kept["none", True]


def test_without_contracts_there_is_none() -> None:
    assert judge_of(Settings(), ContractSet([])) is None
