"""Asks an agent all cases of a data set, and scores its answers: `aftercall eval run`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from aftercall.errors import ExitCode, UsageError
from flows.cli.answers import console, print_json, print_sentence
from flows.cli.eval_options import Emit, FaultLog, Inject, Seed
from flows.cli.options import Config, Json, per_second, span

if TYPE_CHECKING:
    from flows.evaluation.asking import How

RUNS: Final = Path(".aftercall/runs.sqlite")
"""The file of runs, unless `--runs` names another."""
Dataset = Annotated[str, typer.Argument(metavar="DATASET", help="Cases: .jsonl, .csv, .tsv or .parquet.")]
AgentName = Annotated[
    str,
    typer.Option("--agent", metavar="AGENT", help="URL, module:function, a command, or NAME of [eval.agent.NAME]."),
]
ContractFiles = Annotated[
    list[Path] | None,
    typer.Option("--contract", metavar="FILE", help="A contract whose rules judge each answer; may be repeated."),
]
Score = Annotated[
    str, typer.Option(metavar="MODULE:FUNCTION", help="Scores each answer, instead of a comparison with `expected`.")
]
Repeat = Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="How often each case is asked.")]
Runs = Annotated[Path, typer.Option(metavar="FILE", help="The file of runs.")]
Record = Annotated[bool, typer.Option("--record", help="Later runs are held against this one: on the main branch.")]
New = Annotated[bool, typer.Option("--new", help="Ask all cases, although a run of this suite was interrupted.")]
KeepTexts = Annotated[
    bool, typer.Option("--keep-texts", help="Keep answers in the file of runs, and show them where they are wrong.")
]
Timeout = Annotated[str, typer.Option(metavar="SPAN", help="How long an answer, and its score, may take.")]
Rate = Annotated[str | None, typer.Option(metavar="N", help="At most so many questions a second, such as 0.5.")]
Concurrency = Annotated[int, typer.Option(metavar="N", min=1, max=256, help="So many questions at once.")]
Baseline = Annotated[
    str | None,
    typer.Option(metavar="RUN", help="Hold the rows against the recorded runs up to this one: `last`, or a run's id."),
]
MaxRegressed = Annotated[int, typer.Option(metavar="N", min=0, help="Exit code 3 if more rows have regressed.")]
Accept = Annotated[
    bool,
    typer.Option("--accept", help="With --record: rows that have regressed are right from this run on, and block not."),
]
NoConfirm = Annotated[
    bool, typer.Option("--no-confirm", help="Ask nothing again: rows that passed in the last recorded run and fail.")
]


def run(
    dataset: Dataset,
    *,
    agent: AgentName,
    contract: ContractFiles = None,
    score: Score = "",
    repeat: Repeat = 1,
    min_pass_rate: Annotated[
        float | None, typer.Option(metavar="SHARE", min=0, max=1, help="Exit code 3 below it, such as 0.9.")
    ] = None,
    baseline: Baseline = None,
    max_regressed: MaxRegressed = 2,
    no_confirm: NoConfirm = False,
    accept: Accept = False,
    runs: Runs = RUNS,
    record: Record = False,
    new: New = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the cases as tests, for CI.")] = None,
    keep_texts: KeepTexts = False,
    timeout: Timeout = "60s",
    rate: Rate = None,
    concurrency: Concurrency = 4,
    inject: Inject = "",
    seed: Seed = 0,
    fault_log: FaultLog = None,
    emit: Emit = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Ask an agent all cases of a data set, score its answers, and show what came of it.

    A case passes at a score of 0.7. After an interruption the same command resumes where it was.
    """
    from flows.settings import load

    settings = load(config)

    from connectors.suites.reading import read_dataset
    from flows.evaluation.agents import agent_of
    from flows.evaluation.emit import SuiteEmitter
    from flows.evaluation.faults import fault_sentences, print_faults
    from flows.evaluation.gate_view import gate_json, print_gate
    from flows.evaluation.gating import GateOptions, gated, with_gate
    from flows.evaluation.own_output import end_despite_threads, prints_to_stderr
    from flows.evaluation.plan import EvalPlan, contracts_of, scorer_of
    from flows.evaluation.report import report_of, write_junit
    from flows.evaluation.running import evaluate
    from flows.evaluation.under_faults import UnderFaults
    from flows.evaluation.verdict import ending_of
    from flows.evaluation.view import print_run
    from flows.runtime.progress import Progress

    how = asking(concurrency, timeout, rate, keep_texts)
    options = None if baseline is None else GateOptions(baseline, max_regressed, not no_confirm, accept)
    if accept and (options is None or no_confirm or not record):
        raise UsageError("--accept: needs --record and --baseline, and the rule of rows (leave --no-confirm out)")
    with prints_to_stderr(), closing(UnderFaults(agent_of(agent, settings.eval), inject, seed, fault_log)) as under:
        asked = under.agent
        plan = EvalPlan(dataset, read_dataset(Path(dataset)), asked.name, contracts_of(contract or []), score, repeat)
        scorer = scorer_of(plan)
        emitter = SuiteEmitter(dataset, plan.cases) if emit else None
        file_of_runs = under.runs_file(runs, plan, texts=keep_texts, then=emitter)
        with file_of_runs as file, Progress(console(stderr=True), "asking", "answers") as progress:
            with gated(plan, options, file) as gate:
                evaluated = evaluate(plan, asked, scorer, file, how, recorded=record, again=new, report=progress.update)
                evaluated, held = gate(evaluated, asked, scorer, how)
            file.end(evaluated.run.run_id)
            broken = under.report(file, evaluated.run.run_id)
            unsent = None if emitter is None else emitter.close()
    if evaluated.resumed:
        print_sentence(f"resumed run {evaluated.run.run_id}: {evaluated.resumed:,} answers were there (--new asks all)")
    ending = with_gate(ending_of(evaluated.summary, min_pass_rate), held)
    if junit is not None:
        write_junit(evaluated, junit)
    if as_json:
        more = ({} if held is None else {"gate": gate_json(held)}) | ({} if broken is None else {"faults": broken})
        print_json(report_of(evaluated, ending) | more)
    else:
        print_run(evaluated, ending if held is None else ending._replace(reason=""), console())
        if broken is not None:
            print_faults(broken, console())
        if held is not None:
            print_gate(held, ending, console())
    for sentence in [] if broken is None else fault_sentences(broken):
        print_sentence(sentence)
    if unsent is not None:
        print_sentence(unsent)
    code = ExitCode.FAILED if unsent is not None and ending.code == ExitCode.DONE else ending.code
    end_despite_threads(code)
    if code != ExitCode.DONE:
        raise typer.Exit(code)


def asking(concurrency: int, timeout: str, rate: str | None, keep_texts: bool = False) -> How:  # noqa: FBT001, FBT002
    """How cases are asked, as the options have it.

    Raises:
        UsageError: an option is wrong.
    """
    from flows.evaluation.asking import How

    return How(concurrency, _seconds(timeout), 0.0 if rate is None else per_second(rate, "--rate"), keep_texts)


def _seconds(timeout: str) -> float:
    found = span(timeout, "--timeout").total_seconds()
    if not found:
        raise UsageError("--timeout: must be longer than 0s (write it like 60s)")
    return found
