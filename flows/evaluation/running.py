"""Runs a suite: asks what has not been asked, and stores each answer's result as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from aftercall.errors import UsageError
from aftercall.evals.results import CaseResult, EvalResult
from aftercall.evals.scoring import Scorer
from aftercall.evals.summary import summarise
from aftercall.times import HOUR_US
from connectors.agents.agent import Agent
from connectors.suites.runs_file import RunsFile
from connectors.suites.runs_tables import StoredRun
from flows.evaluation.asking import Ask, How, ask_all
from flows.evaluation.plan import MOST_ANSWERS, EvalPlan

RESUMED_WITHIN_US: Final = 24 * HOUR_US
"""An interrupted run that is older is not resumed: the agent behind its name may be another by now."""
_NS_PER_US: Final = 1000
_OnAnswer = Callable[[int, int], None]
"""Gets how many answers there are, and how many there will be."""


@dataclass(frozen=True)
class Evaluated:
    """A run that has ended: its results, with those that it had before it was interrupted."""

    plan: EvalPlan
    run: StoredRun
    results: list[CaseResult]
    resumed: int = 0
    """So many of the results are from before."""
    summary: EvalResult = field(init=False)

    def __post_init__(self) -> None:
        """Sum the results up, those of a gate that asked again aside."""
        object.__setattr__(self, "summary", summarise(self.plan.cases, self.results))

    @property
    def answered(self) -> int:
        """How many of the answers came without an error."""
        return self.summary.answers - self.summary.errors


def evaluate(
    plan: EvalPlan,
    agent: Agent,
    scorer: Scorer,
    file: RunsFile,
    how: How,
    *,
    recorded: bool = False,
    again: bool = False,
    report: _OnAnswer | None = None,
) -> Evaluated:
    """Run a suite to its end. A run of the same plan that was interrupted within 24 hours is resumed.

    The run is still claimed, and has not ended: who has nothing more to ask calls `file.end(run.run_id)`.

    Args:
        plan: what is asked.
        agent: who is asked.
        scorer: as `scorer_of` makes it.
        file: gets a row as each case ends.
        how: how many at once, and for how long.
        recorded: whether later runs are held against this one.
        again: begin a run from its first case, whatever was interrupted.
        report: called as answers come.

    Raises:
        RunsError: the file cannot be written.
        UsageError: there are too many cases, times repeats.
    """
    if plan.answers > MOST_ANSWERS:
        raise UsageError(
            f"--repeat: cases times repeats must be at most {MOST_ANSWERS:,}; got {plan.answers:,} (repeat less often)"
        )
    run, results = _begun(plan, file, recorded=recorded, again=again)
    resumed = len(results)
    there = {(one.case_id, one.repeat) for one in results if not one.attempt}
    _say(report, len(there), plan)
    for result in ask_all(agent, scorer, _left(plan, there), how):
        file.add(run.run_id, [result])
        results.append(result)
        there.add((result.case_id, result.repeat))
        _say(report, len(there), plan)
    return Evaluated(plan, run, results, resumed)


def _begun(plan: EvalPlan, file: RunsFile, *, recorded: bool, again: bool) -> tuple[StoredRun, list[CaseResult]]:
    now_us = time.time_ns() // _NS_PER_US
    found = None if again else file.resumable(plan.hash(), now_us - RESUMED_WITHIN_US, recorded=recorded)
    if found is not None:
        return found, file.results(found.run_id)
    return file.begin(plan.as_run(recorded=recorded, started_at=now_us)), []


def _left(plan: EvalPlan, there: set[tuple[str, int]]) -> Iterator[Ask]:
    """What has no result yet: all cases once, then all of them again, so that a slow spell hits no case alone."""
    asked = frozenset(there)
    for repeat in range(plan.repeats):
        for case in plan.cases:
            if (case.id, repeat) not in asked:
                yield Ask(case, repeat)


def _say(report: _OnAnswer | None, done: int, plan: EvalPlan) -> None:
    if report is not None:
        report(done, plan.answers)
