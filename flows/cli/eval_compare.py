"""Runs variants of an agent side by side on one suite: `aftercall eval compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aftercall.errors import ExitCode, UsageError
from flows.cli.answers import console, print_json, print_sentence
from flows.cli.eval_run import RUNS, Concurrency, ContractFiles, Dataset, Rate, Repeat, Runs, Score, Timeout, asking
from flows.cli.options import Config, Json

MOST_VARIANTS = 20


def compare(
    dataset: Dataset,
    *,
    agent: Annotated[
        list[str], typer.Option("--agent", metavar="AGENT", help="As of `eval run`; give it once for each variant.")
    ],
    contract: ContractFiles = None,
    score: Score = "",
    repeat: Repeat = 1,
    runs: Runs = RUNS,
    timeout: Timeout = "60s",
    rate: Rate = None,
    concurrency: Concurrency = 4,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Ask all variants the same cases, and compare their scores row by row.

    Intervals allow for the number of pairs. Where it cannot tell a pair apart, it says how many rows more would.
    """
    from flows.settings import load

    settings = load(config)
    if not 2 <= len(agent) <= MOST_VARIANTS:
        raise UsageError(
            f"--agent: must be given for 2 to {MOST_VARIANTS} variants; got {len(agent)} (give it once for each)"
        )

    from connectors.suites.reading import read_dataset
    from connectors.suites.runs_file import RunsFile
    from flows.evaluation.agents import agent_of
    from flows.evaluation.own_output import end_despite_threads, prints_to_stderr
    from flows.evaluation.plan import EvalPlan, contracts_of, scorer_of
    from flows.evaluation.running import evaluate
    from flows.evaluation.variants import compared, print_variants, variants_json
    from flows.evaluation.verdict import ending_of
    from flows.runtime.progress import Progress

    how, evaluated = asking(concurrency, timeout, rate), []
    with prints_to_stderr():
        cases, contracts = read_dataset(Path(dataset)), contracts_of(contract or [])
        for place, variant in enumerate([agent_of(one, settings.eval) for one in agent], 1):
            plan = EvalPlan(dataset, cases, variant.name, contracts, score, repeat)
            label = f"asking {place} of {len(agent)}"
            with RunsFile(runs) as file, Progress(console(stderr=True), label, "answers") as progress:
                evaluated.append(evaluate(plan, variant, scorer_of(plan), file, how, report=progress.update))
                file.end(evaluated[-1].run.run_id)
            variant.close()
    found = compared(evaluated)
    if as_json:
        print_json(variants_json(found))
    else:
        print_variants(found, console())
    failed = [one for one in evaluated if ending_of(one.summary, None).code != ExitCode.DONE]
    for one in failed:
        print_sentence(f"{one.plan.agent}: {ending_of(one.summary, None).reason}")
    code = ExitCode.UNDECIDED if failed else ExitCode.DONE
    end_despite_threads(code)
    if failed:
        raise typer.Exit(code)
