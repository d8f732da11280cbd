"""Defines what a run of a suite asks, and how it is scored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aftercall.contracts.contract import Contract
from aftercall.contracts.contract_set import ContractSet
from aftercall.contracts.files import read_contracts
from aftercall.errors import UsageError
from aftercall.evals.case import EvalCase, dataset_hash, plain_hash
from aftercall.evals.contract_checks import newest
from aftercall.evals.functions import FunctionScore
from aftercall.evals.scoring import Scorer
from connectors.suites.runs_tables import StoredRun

MOST_ANSWERS: Final = 10_000_000
"""Cases, times repeats: rows of a run lie in memory while it is summed up."""


@dataclass(frozen=True)
class EvalPlan:
    """A run of a suite. `dataset` is the path as it was given, `agent` the agent's name."""

    dataset: str
    cases: Sequence[EvalCase]
    agent: str
    contracts: Sequence[Contract] = ()
    score: str = ""
    """`module:function`, or empty."""
    repeats: int = 1

    @property
    def answers(self) -> int:
        """How many are asked for."""
        return len(self.cases) * self.repeats

    def hash(self) -> str:
        """Over all that decides what is asked and how it is scored: runs of one hash may be put together."""
        contracts = sorted(contract.hash for contract in self.contracts)
        return plain_hash([dataset_hash(self.cases), self.agent, contracts, self.score, self.repeats])

    def as_run(self, *, recorded: bool, started_at: int, label: str = "") -> StoredRun:
        """A run of it that has no id yet; `started_at` in microseconds since 1970 UTC."""
        return StoredRun(
            run_id="",
            dataset=self.dataset,
            dataset_hash=dataset_hash(self.cases),
            agent=self.agent,
            plan_hash=self.hash(),
            repeats=self.repeats,
            cases=len(self.cases),
            recorded=recorded,
            started_at=started_at,
            label=label,
        )


def contracts_of(paths: Iterable[Path]) -> tuple[Contract, ...]:
    """The newest version of each contract of these files and folders.

    Raises:
        ContractError: one is wrong.
        UsageError: they hold none.
    """
    named = list(paths)
    if not named:
        return ()
    found: ContractSet = read_contracts(named)
    if not len(found):
        raise UsageError(f"--contract: must be contract files, or folders of them; {named[0]} has none (name a file)")
    return newest(found)


def scorer_of(plan: EvalPlan) -> Scorer:
    """What scores the answers of a plan, its checks made and tried.

    Raises:
        UsageError: the function of `--score` cannot be imported, or takes other arguments; a package is missing.
        DatasetError: a check of a case is wrong, or a case has nothing to be scored by.
        ContractError: a function of a rule cannot be imported.
    """
    scorer = Scorer(plan.contracts, _function(plan.score))
    scorer.prepare(plan.cases)
    return scorer


def _function(path: str) -> FunctionScore | None:
    if not path:
        return None
    from connectors.agents.python_agent import function_at

    function: Any = function_at(path, "--score")
    try:
        return FunctionScore(function, path.partition(":")[2])
    except TypeError as wrong:
        raise UsageError(f"--score: {path} {wrong}") from None
