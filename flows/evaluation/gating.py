"""Holds a run against the recorded ones before it, and asks again what used to pass and now fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Literal

from aftercall.errors import ExitCode
from aftercall.evals.results import CaseResult
from aftercall.evals.scoring import Scorer
from connectors.agents.agent import Agent
from connectors.suites.gate_tables import GateTables
from connectors.suites.runs_file import RunsFile
from flows.evaluation.asking import Ask, How, ask_all
from flows.evaluation.history import LAST, History, check_baseline, history_of, trials_of
from flows.evaluation.plan import EvalPlan
from flows.evaluation.running import Evaluated
from flows.evaluation.verdict import Ending
from flows.reports.words import counted
from models.evaluation import ENOUGH_RUNS, RUNS_PER_ROUND, Gate, RowRule, RowTrials, gate_by_rows, gate_plainly

AskAll = Callable[[Iterable[Ask]], Iterator[CaseResult]]
MAX_REGRESSED: Final = 2


@dataclass(frozen=True)
class GateOptions:
    """`baseline` is `last` or the id of a recorded run; with `confirm` the rule of rows judges, else the plain rule."""

    baseline: str = LAST
    max_regressed: int = MAX_REGRESSED
    confirm: bool = True
    accept: bool = False
    """Rows that have regressed are right from this recorded run on: they do not block, and have no history before."""


@dataclass(frozen=True)
class FoundRow:
    """A row that a gate names: how often it failed before and now, and how likely it is broken."""

    case_id: str
    failures_before: int
    runs_before: int
    failures_now: int
    runs_now: int
    broken: float


@dataclass(frozen=True)
class GateReport:
    """What a gate found; `rule` is None where there was nothing to hold the run against."""

    rule: Literal["rows", "plain"] | None
    blocked: bool
    ending: Ending
    baseline: str | None
    runs: int
    max_regressed: int
    regressed: tuple[FoundRow, ...] = ()
    doubtful: tuple[FoundRow, ...] = ()
    compared: int = 0
    new: tuple[str, ...] = ()
    """Rows without history that fail now: they do not count."""
    asked_again: int = 0
    rate_before: float | None = None
    """Mean pass rate of the recorded runs."""
    note: str = ""
    """Why the plain rule judged, in one sentence."""


Gated = Callable[[Evaluated, Agent, Scorer, How], tuple[Evaluated, GateReport | None]]
"""Gets a run, and who was asked how; returns it with all its answers, and the report."""


def hold_against(
    evaluated: Evaluated, options: GateOptions, file: RunsFile, tables: GateTables, ask: AskAll
) -> tuple[Evaluated, GateReport]:
    """Judge a run by its rows.

    Args:
        evaluated: a run that is still claimed; answers that a gate had asked for before it was interrupted count.
        options: of the gate.
        file: gets further answers.
        tables: of a recorded run, get the rows that have regressed.
        ask: asks the agent.

    Returns:
        The run with all its answers, and the report. Exit code 3 where more rows have regressed than may, 4 where no
        recorded run is there.

    Raises:
        UsageError: there is no such recorded run.
        RunsError: the file cannot be read or written.
    """
    history = history_of(evaluated.plan, options.baseline, file, tables)
    if not history.runs:
        return evaluated, _without_history(evaluated, options)
    note = _why_plain(history, options)
    if note:
        gate, before = _plainly(evaluated, history, options), history.last
    else:
        rule = RowRule(history.trials)
        evaluated = _confirmed(evaluated, rule, file, ask)
        before = history.trials
        gate = gate_by_rows(rule, before, _now(evaluated), options.max_regressed)
    report = _report(evaluated, history, before, gate, options, note)
    if evaluated.run.recorded and gate.rule == "rows":
        tables.flag(evaluated.run.run_id, [row.case_id for row in report.regressed], accepted=options.accept)
    return evaluated, report


@contextmanager
def gated(plan: EvalPlan, options: GateOptions | None, file: RunsFile) -> Iterator[Gated]:
    """What holds a run of this plan against the baseline; without options it holds it against nothing.

    The baseline is looked for now, before anything is asked.

    Raises:
        UsageError: there is no such recorded run.
    """
    if options is None:
        yield lambda evaluated, *_: (evaluated, None)
        return
    check_baseline(plan, options.baseline, file)

    with GateTables(file.path) as tables:

        def hold(evaluated: Evaluated, agent: Agent, scorer: Scorer, how: How) -> tuple[Evaluated, GateReport | None]:
            return hold_against(evaluated, options, file, tables, lambda tasks: ask_all(agent, scorer, tasks, how))

        yield hold


def with_gate(ending: Ending, report: GateReport | None) -> Ending:
    """How a run ends that was held against a baseline too: errors first, then no, then not enough evidence."""
    if report is None or ending.code == ExitCode.UNDECIDED:
        return ending
    both = [ending, report.ending]
    code = next((code for code in (ExitCode.NO, ExitCode.UNDECIDED) if code in {one.code for one in both}), ending.code)
    return Ending(code, "; ".join(one.reason for one in both if one.reason))


def _now(evaluated: Evaluated) -> RowTrials:
    return trials_of(evaluated.plan.cases, evaluated.results)


def _why_plain(history: History, options: GateOptions) -> str:
    if not options.confirm:
        return "by the plain rule, as --no-confirm asks: rows that passed in the last recorded run and fail now"
    if len(history.runs) < ENOUGH_RUNS:
        return (
            "by the plain rule, which blocks unchanged builds too: "
            f"{counted(len(history.runs), 'recorded run')} so far, and the rule of rows needs {ENOUGH_RUNS}"
        )
    return ""


def _plainly(evaluated: Evaluated, history: History, options: GateOptions) -> Gate:
    first = [one for one in evaluated.results if not one.attempt]
    return gate_plainly(history.last, trials_of(evaluated.plan.cases, first), options.max_regressed)


def _confirmed(evaluated: Evaluated, rule: RowRule, file: RunsFile, ask: AskAll) -> Evaluated:
    """With the answers of all rounds; those that are there from before an interruption are not asked for again."""
    results = list(evaluated.results)
    rounds = 0
    while True:
        now = trials_of(evaluated.plan.cases, [one for one in results if one.attempt <= rounds * RUNS_PER_ROUND])
        suspects = rule.to_confirm(now, rounds).nonzero()[0].tolist()
        if not suspects:
            return replace(evaluated, results=results)
        there = {(one.case_id, one.attempt) for one in results}
        attempts = range(rounds * RUNS_PER_ROUND + 1, (rounds + 1) * RUNS_PER_ROUND + 1)
        cases = [evaluated.plan.cases[place] for place in suspects]
        tasks = [Ask(case, 0, attempt) for attempt in attempts for case in cases if (case.id, attempt) not in there]
        for result in ask(tasks):
            file.add(evaluated.run.run_id, [result])
            results.append(result)
        rounds += 1


def _report(
    evaluated: Evaluated, history: History, before: RowTrials, gate: Gate, options: GateOptions, note: str
) -> GateReport:
    cases, now = evaluated.plan.cases, _now(evaluated)

    def rows(places: Iterable[int]) -> tuple[FoundRow, ...]:
        return tuple(
            FoundRow(
                cases[place].id,
                int(before.failures[place]),
                int(before.trials[place]),
                int(now.failures[place]),
                int(now.trials[place]),
                round(float(gate.broken[place]), 4),
            )
            for place in places
        )

    regressed = rows(gate.regressed)
    may = f"and {options.max_regressed:,} may (--max-regressed)"
    found = f"{counted(len(regressed), 'row')} {'has' if len(regressed) == 1 else 'have'} regressed, {may}"
    blocked = gate.blocked and not options.accept
    if options.accept and regressed:
        found = f"{found}: accepted as they are"
    new = ((before.trials == 0) & now.mostly_failed).nonzero()[0]
    return GateReport(
        rule=gate.rule,
        blocked=blocked,
        ending=Ending(ExitCode.NO if blocked else ExitCode.DONE, found),
        baseline=history.runs[-1].run_id,
        runs=len(history.runs),
        max_regressed=options.max_regressed,
        regressed=regressed,
        doubtful=rows(gate.doubtful),
        compared=gate.compared,
        new=tuple(cases[place].id for place in new),
        asked_again=sum(one.attempt > 0 for one in evaluated.results),
        rate_before=history.pass_rate,
        note=note,
    )


def _without_history(evaluated: Evaluated, options: GateOptions) -> GateReport:
    reason = f"no run of {evaluated.plan.dataset} was recorded before (run the main branch with --record)"
    return GateReport(None, False, Ending(ExitCode.UNDECIDED, reason), None, 0, options.max_regressed)
