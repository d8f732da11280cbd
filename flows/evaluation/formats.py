"""Carries cases and runs between the formats of other programs and ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from aftercall.errors import UsageError
from aftercall.evals.case import EvalCase
from connectors.suites import inspect_ai, openai_evals, promptfoo
from connectors.suites.foreign_case import ForeignCases, ForeignRun, plain_case
from connectors.suites.runs_file import RunsFile
from flows.evaluation.plan import EvalPlan
from flows.evaluation.running import Evaluated

CASES_IN: Final[dict[str, Callable[[Path], ForeignCases]]] = {
    "inspect": inspect_ai.samples_in,
    "promptfoo": promptfoo.read_tests,
    "openai-evals": openai_evals.samples_of_evals,
}
CASES_OUT: Final = ("inspect", "inspect-task", "promptfoo")
RESULTS_IN: Final[dict[str, Callable[[Path], ForeignRun]]] = {
    "inspect": inspect_ai.log_in,
    "promptfoo": promptfoo.results_in,
}


def refuse_unknown(given: str, known: Iterable[str]) -> None:
    """Raise UsageError where a format is none of those that are known."""
    if given not in known:
        raise UsageError(f"--format: must be one of {', '.join(known)}; got {given[:40]!r} (choose one)")


def cases_in(path: Path, kind: str) -> tuple[list[str], Sequence[str]]:
    """The cases of a file of another program as lines of a data set, and what could not be carried over."""
    found = CASES_IN[kind](path)
    return [json.dumps(plain_case(case), ensure_ascii=False) for case in found.cases], found.lost


def cases_out(cases: Sequence[EvalCase], kind: str, dataset: str, agent: str) -> tuple[str, Sequence[str]]:
    """The cases in the format of another program, and what could not be carried over."""
    if kind == "inspect-task":
        return inspect_ai.task_file(dataset, agent), ()
    if kind == "inspect":
        lines = (json.dumps(one, ensure_ascii=False) for one in inspect_ai.samples_out(cases))
        return "".join(f"{line}\n" for line in lines), ()
    document, lost = promptfoo.written_tests(cases)
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n", lost


def results_in(path: Path, kind: str, file: RunsFile, *, recorded: bool) -> Evaluated:
    """A run of another program, stored as one of ours that has ended."""
    given = RESULTS_IN[kind](path)
    plan = EvalPlan(given.dataset, given.cases, given.agent, repeats=1 + max(one.repeat for one in given.results))
    run = file.begin(plan.as_run(recorded=recorded, started_at=given.started_at, label=kind))
    file.add(run.run_id, given.results)
    file.end(run.run_id)
    return Evaluated(plan, run, list(given.results))
