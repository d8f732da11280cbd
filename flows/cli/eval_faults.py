"""Lists which failures an agent has been seen to survive: `aftercall eval faults`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aftercall.errors import ExitCode, UsageError
from flows.cli.answers import console, print_json, print_sentence
from flows.cli.eval_run import RUNS, Runs
from flows.cli.options import Json


def faults(
    contract: Annotated[Path, typer.Argument(metavar="CONTRACT", help="The contract by which runs were judged.")],
    *,
    runs: Runs = RUNS,
    as_json: Json = False,
) -> None:
    """List which of nine failures agents have been seen to survive, each with a case that shows it.

    The failures: empty and contradicting results, timeout, partial data, out of policy, retry limit, budget, approval,
    stale memory. What was never tried is listed as not seen.
    """
    from aftercall.contracts.files import read_contract
    from connectors.suites.fault_rows import FaultRunsFile
    from flows.evaluation.faults import failures_report, print_failures

    judged_by = read_contract(contract)
    if not runs.is_file():
        raise UsageError(f"--runs: must be a file of runs; {runs} is none (run `aftercall eval run` first)")
    with FaultRunsFile(runs) as file:
        report = failures_report(judged_by, file.survivals(judged_by.name))
    if as_json:
        print_json(report)
    else:
        print_failures(report, console())
    if not report["agents"]:
        print_sentence(
            f"no run in {runs} was judged by {judged_by.name} (give `eval run` --contract {contract} and --inject)"
        )
        raise typer.Exit(ExitCode.UNDECIDED)
    if any(one["state"] == "not survived" for agent in report["agents"] for one in agent["failures"]):
        raise typer.Exit(ExitCode.NO)
