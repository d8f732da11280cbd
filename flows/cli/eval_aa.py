"""Runs a suite against itself, and says how often its gate would block: `aftercall eval aa`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aftercall.errors import ExitCode
from flows.cli.answers import console, print_json, print_sentence
from flows.cli.eval_run import (
    RUNS,
    AgentName,
    Concurrency,
    ContractFiles,
    Dataset,
    MaxRegressed,
    Rate,
    Runs,
    Score,
    Timeout,
    asking,
)
from flows.cli.options import Config, Json


def aa(
    dataset: Dataset,
    *,
    agent: AgentName,
    times: Annotated[int, typer.Option(metavar="N", min=2, max=1000, help="How often each case is asked.")] = 8,
    max_regressed: MaxRegressed = 2,
    contract: ContractFiles = None,
    score: Score = "",
    runs: Runs = RUNS,
    timeout: Timeout = "60s",
    rate: Rate = None,
    concurrency: Concurrency = 4,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Ask each case several times, and say how often the gate of this suite blocks a build that changes nothing."""
    from flows.settings import load

    settings = load(config)

    from connectors.suites.reading import read_dataset
    from connectors.suites.runs_file import RunsFile
    from flows.evaluation.agents import agent_of
    from flows.evaluation.own_output import end_despite_threads, prints_to_stderr
    from flows.evaluation.plan import EvalPlan, contracts_of, scorer_of
    from flows.evaluation.running import evaluate
    from flows.evaluation.self_compare import compared_with_itself, print_self, self_json
    from flows.evaluation.verdict import ending_of
    from flows.runtime.progress import Progress

    how = asking(concurrency, timeout, rate)
    with prints_to_stderr():
        asked = agent_of(agent, settings.eval)
        plan = EvalPlan(dataset, read_dataset(Path(dataset)), asked.name, contracts_of(contract or []), score, times)
        scorer = scorer_of(plan)
        with RunsFile(runs) as file, Progress(console(stderr=True), "asking", "answers") as progress:
            evaluated = evaluate(plan, asked, scorer, file, how, report=progress.update)
            file.end(evaluated.run.run_id)
            asked.close()
    ending = ending_of(evaluated.summary, None)
    if ending.code == ExitCode.DONE:
        found = compared_with_itself(evaluated, max_regressed)
        if as_json:
            print_json(self_json(found))
        else:
            print_self(found, console())
    else:
        print_sentence(ending.reason)
    end_despite_threads(ending.code)
    if ending.code != ExitCode.DONE:
        raise typer.Exit(ending.code)
