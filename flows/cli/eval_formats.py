"""Carries cases and results between other programs and suites: `aftercall eval import`, `export`, `import-results`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from aftercall.errors import ExitCode, UsageError
from aftercall.printable import printable
from flows.cli.answers import console, print_json, print_sentence
from flows.cli.eval_run import RUNS, Dataset, Record, Runs
from flows.cli.options import Json

ForeignFile = Annotated[str, typer.Argument(metavar="SOURCE", help="A file of another program.")]


def import_(
    file: ForeignFile,
    *,
    form: Annotated[str, typer.Option("--format", metavar="NAME", help="One of inspect, promptfoo, openai-evals.")],
) -> None:
    """Print the cases of another program as a data set, one per line.

    What could not be carried over is named on standard error.
    """
    from flows.evaluation.formats import CASES_IN, cases_in, refuse_unknown

    refuse_unknown(form, CASES_IN)
    lines, lost = cases_in(_path(file), form)
    for line in lines:
        sys.stdout.write(f"{line}\n")
    _end(lost)


def export(
    dataset: Dataset,
    *,
    form: Annotated[str, typer.Option("--format", metavar="NAME", help="One of inspect, inspect-task, promptfoo.")],
    agent: Annotated[str, typer.Option(metavar="AGENT", help="The agent that an inspect-task asks.")] = "",
) -> None:
    """Print a data set in the format of another program.

    `inspect-task` is a task file, in Python, that asks our agent. What could not be carried over is named on standard
    error.
    """
    from connectors.suites.reading import read_dataset
    from flows.evaluation.formats import CASES_OUT, cases_out, refuse_unknown

    refuse_unknown(form, CASES_OUT)
    if form == "inspect-task" and not agent:
        raise UsageError("--agent: must be given with --format inspect-task; got none (name your agent)")
    document, lost = cases_out(read_dataset(_path(dataset)), form, dataset, agent)
    sys.stdout.write(document)
    _end(lost)


def import_results(
    file: ForeignFile,
    *,
    form: Annotated[str, typer.Option("--format", metavar="NAME", help="One of inspect, promptfoo.")],
    runs: Runs = RUNS,
    record: Record = False,
    as_json: Json = False,
) -> None:
    """Store the results of another program as a run, and show what came of it."""
    from connectors.suites.runs_file import RunsFile
    from flows.evaluation.formats import RESULTS_IN, refuse_unknown, results_in
    from flows.evaluation.report import report_of
    from flows.evaluation.verdict import ending_of
    from flows.evaluation.view import print_run

    refuse_unknown(form, RESULTS_IN)
    path = _path(file)
    with RunsFile(runs) as stored:
        found = results_in(path, form, stored, recorded=record)
    ending = ending_of(found.summary, None)
    if as_json:
        print_json(report_of(found, ending))
    else:
        print_run(found, ending, console())
    if ending.code != ExitCode.DONE:
        raise typer.Exit(ending.code)


def _path(given: str) -> Path:
    if not given:
        raise UsageError("SOURCE: must be a path; got an empty one (name your file)")
    return Path(given)


def _end(lost: Iterable[str]) -> None:
    sentences = list(lost)
    for sentence in sentences:
        print_sentence(printable(sentence))
    if sentences:
        raise typer.Exit(ExitCode.NO)
