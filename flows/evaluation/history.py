"""Reads from the file of runs what each row of a suite did in the recorded runs before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aftercall.errors import UsageError
from aftercall.evals.case import EvalCase
from aftercall.evals.results import CaseResult
from connectors.suites.gate_tables import GateTables
from connectors.suites.runs_file import RunsFile
from connectors.suites.runs_tables import StoredRun
from flows.evaluation.plan import EvalPlan
from models.arrays import F64, Bools
from models.evaluation import HISTORY_RUNS, RowTrials

LAST: Final = "last"
_LOOK_BACK: Final = 30
"""Recorded runs that are read at most: a row that has been broken for seven runs is held against those before."""


@dataclass(frozen=True)
class History:
    """Recorded runs, the newest last, and what each row of the plan did in them.

    `trials` are over the newest seven runs of each row in which it had not regressed, since it was accepted; `last`
    are the first answers of the newest run. `scores` and `passed` are those of first answers, shape (runs, rows), nan
    where a row was not asked.
    """

    runs: tuple[StoredRun, ...]
    trials: RowTrials
    last: RowTrials
    scores: F64
    passed: Bools

    @property
    def pass_rate(self) -> float | None:
        """The mean of the runs' pass rates."""
        asked = ~np.isnan(self.scores)
        rates = [passed[known].mean() for passed, known in zip(self.passed, asked, strict=True) if known.any()]
        return float(np.mean(rates)) if rates else None


def history_of(plan: EvalPlan, baseline: str, file: RunsFile, tables: GateTables) -> History:
    """What is known of the rows of a plan. A case whose input was edited has no history.

    Args:
        plan: the suite; runs of its data set, and of the agent of the baseline, count.
        baseline: `last`, or the id of a recorded run: history ends with it.
        file: read.
        tables: which rows had regressed when.

    Raises:
        UsageError: there is no such run, or it was not recorded.
    """
    recorded = _recorded(plan, file)
    rows = len(plan.cases)
    inputs = {case.id: case.input_hash for case in plan.cases}
    seen, settled = np.zeros(rows, np.int64), np.zeros(rows, np.bool_)
    trials, last = RowTrials.none(rows), RowTrials.none(rows)
    runs: list[StoredRun] = []
    shown: list[tuple[list[float], list[bool]]] = []
    for run, results in _back_from(_baseline_of(baseline, recorded, plan, file), recorded, file):
        known = [one for one in results if inputs.get(one.case_id) == one.input_hash]
        of_run = trials_of(plan.cases, known)
        last = last if runs else trials_of(plan.cases, [one for one in known if not one.attempt])
        counted = (of_run.trials > 0) & (seen < HISTORY_RUNS) & ~_named(plan.cases, tables.flagged(run.run_id))
        counted &= ~settled
        settled |= _named(plan.cases, tables.flagged(run.run_id, accepted=True))
        trials += RowTrials(np.where(counted, of_run.failures, 0), np.where(counted, of_run.trials, 0))
        seen += counted
        runs.append(run)
        if len(shown) < HISTORY_RUNS:
            shown.append(_first_answers(plan.cases, known))
        elif ((seen >= HISTORY_RUNS) | settled).all():
            break
    scores = np.array([of_run[0] for of_run in reversed(shown)], np.float64).reshape(-1, rows)
    passed = np.array([of_run[1] for of_run in reversed(shown)], np.bool_).reshape(-1, rows)
    return History(tuple(reversed(runs[:HISTORY_RUNS])), trials, last, scores, passed)


def check_baseline(plan: EvalPlan, baseline: str, file: RunsFile) -> None:
    """Look a baseline up before anything is asked.

    Raises:
        UsageError: there is no such run, or it was not recorded.
    """
    _baseline_of(baseline, _recorded(plan, file), plan, file)


def trials_of(cases: Sequence[EvalCase], results: Sequence[CaseResult]) -> RowTrials:
    """The answers of each case that could be scored; one that ended with an error has failed."""
    places = {case.id: place for place, case in enumerate(cases)}
    trials = RowTrials.none(len(cases))
    for one in results:
        if one.score is not None:
            trials.trials[places[one.case_id]] += 1
            trials.failures[places[one.case_id]] += not one.passed
    return trials


def _recorded(plan: EvalPlan, file: RunsFile) -> list[StoredRun]:
    return file.runs("dataset = ? AND recorded AND ended_at IS NOT NULL", plan.dataset)


def _baseline_of(baseline: str, recorded: Sequence[StoredRun], plan: EvalPlan, file: RunsFile) -> StoredRun | None:
    """The recorded run that is named; the last one of this agent, or else of any; None where none was recorded."""
    if baseline == LAST:
        own = [run for run in recorded if run.agent == plan.agent]
        return next(reversed(own or recorded), None)
    chosen = next((run for run in recorded if run.run_id == baseline), None)
    if chosen is None:
        _refuse(baseline, plan, file)
    return chosen


def _back_from(
    chosen: StoredRun | None, recorded: Sequence[StoredRun], file: RunsFile
) -> Iterator[tuple[StoredRun, list[CaseResult]]]:
    """Recorded runs of one agent from the chosen one back, without those that mostly ended with errors."""
    found = 0
    for run in reversed(recorded):
        if chosen is None or run.agent != chosen.agent or run.started_at > chosen.started_at:
            continue
        results = file.results(run.run_id)
        if 2 * sum(one.error is None for one in results) >= len(results) > 0:
            found += 1
            yield run, results
        if found == _LOOK_BACK:
            break


def _refuse(baseline: str, plan: EvalPlan, file: RunsFile) -> None:
    there = file.runs("run_id = ?", baseline)
    if not there:
        raise UsageError(
            f"--baseline: must be `last` or the id of a run in {file.path}; got {baseline!r} (name another)"
        )
    if there[0].dataset != plan.dataset:
        raise UsageError(
            f"--baseline: must be a run of {plan.dataset}; {baseline} is one of {there[0].dataset} (name another)"
        )
    raise UsageError(
        f"--baseline: must be a run that has ended and was recorded; {baseline} was not (run the main branch with "
        "--record)"
    )


def _named(cases: Sequence[EvalCase], ids: frozenset[str]) -> Bools:
    return np.array([case.id in ids for case in cases], np.bool_)


def _first_answers(cases: Sequence[EvalCase], results: Sequence[CaseResult]) -> tuple[list[float], list[bool]]:
    """Mean score of each case over its repeats, and whether that passes."""
    by_case: dict[str, list[float]] = {}
    for one in results:
        if one.score is not None and not one.attempt:
            by_case.setdefault(one.case_id, []).append(one.score)
    scores = [sum(found) / len(found) if (found := by_case.get(case.id)) else float("nan") for case in cases]
    return scores, [score >= 0.7 - 1e-9 for score in scores]
