"""Defines the commands; each is thin, and the work is elsewhere.

An error that a user can cause becomes one sentence and an exit code, as docs/reference.md, section 5, promises.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from aftercall.errors import ExitCode, UsageError
from flows.cli.answers import all_exits, answer, console, exits, print_json, print_sentence
from flows.cli.check import check
from flows.cli.contract import contract
from flows.cli.dead_letters import dead_letters
from flows.cli.digest import digest
from flows.cli.erase import erase
from flows.cli.evals import evals
from flows.cli.evaluate_policy import evaluate_policy
from flows.cli.golden import golden
from flows.cli.insights import alerts, insights, status
from flows.cli.kafka import topics
from flows.cli.mark import mark
from flows.cli.options import Config, Json, span
from flows.cli.show import show
from flows.cli.trust import trust

__all__ = ["UsageError", "app", "main"]

app = typer.Typer(
    name="aftercall",
    help="Measure what your LLM agents really achieve in production.",
    epilog=all_exits(),
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes cut the names of options off
)

Files = list[Path] | None

LISTS = ("--calls", "--outcomes", "--marks", "--call", "--session")
PATH_OPTIONS = (
    *LISTS[:3],
    *(
        "--config",
        "--contract",
        "--fault-log",
        "--file",
        "--from",
        "--junit",
        "--key-file",
        "--log",
        "--out",
        "--runs",
        "--snapshot",
        "--to",
    ),
)
MOST_CALLS = 50_000_000


def main() -> None:
    """Run a command, as the console script does; its errors become one sentence and an exit code.

    A defect of aftercall keeps its traceback.
    """
    _fill_standard_streams()
    try:
        code = app(_spread(sys.argv[1:]) or ["--help"], prog_name="aftercall", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of our output has closed it; the interpreter must not fail at exit when it flushes the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.FAILED
    except Exception as error:
        answered = answer(error)
        if answered is None:
            raise
        sentence, code = answered
        print_sentence(sentence)
    if code == ExitCode.INTERRUPTED:
        print_sentence("interrupted; give the same command again to resume")
    sys.exit(code)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        sys.stdout.write(f"aftercall {version('aftercall')}\n")
        raise typer.Exit


@app.callback()
def common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take the options of `aftercall` itself."""


@app.command(short_help="Simulate an incident, find it, and show what was found.")
def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for traffic and results; an earlier demo in it is replaced.")
    ] = Path("aftercall-demo"),
) -> None:
    """Simulate traffic with a hidden incident, run the real dataflow over it, and show what it found."""
    from flows.demo.demo import demo as run_demo

    run_demo(out, console(), console(stderr=True))


@app.command(short_help="Run the dataflow over files.")
def replay(
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for outcomes.duckdb and the .jsonl outputs.")],
    calls: Annotated[Files, typer.Option(metavar="FILE...", help="Calls: .jsonl, .jsonl.gz or .jsonl.zst.")] = None,
    outcomes: Annotated[Files, typer.Option(metavar="FILE...", help="Outcomes, in the same formats.")] = None,
    marks: Annotated[Files, typer.Option(metavar="FILE...", help="Marks of deployments, in the same formats.")] = None,
    horizon: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long outcomes of a call count, such as 30d.")
    ] = None,
    config: Config = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, max=12, help="Bytewax workers (threads).")] = 1,
    accept_config_change: Annotated[
        bool,
        typer.Option("--accept-config-change", help="Resume although settings that decide verdicts have changed."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the dataflow over files in event-time order, to their end.

    After an interruption or a crash, the same command resumes where it was.
    """
    if not calls and not outcomes:
        raise UsageError("--calls, --outcomes: at least one file must be given; got none (name your files)")
    if horizon is not None:
        span(horizon, "--horizon")

    from flows.settings import load

    settings = load(config, join={"horizon": horizon})

    from flows.replay import Replay, file_ends, run
    from flows.reports.summary import show, summary
    from flows.runtime.progress import Progress

    with Progress(console(stderr=True), "replaying") as progress:
        job = Replay(calls or [], outcomes or [], out, settings, workers, accept_config_change, marks or [])
        warnings = run(job, progress.update)
    for warning in warnings:
        print_sentence(warning)
    counts = summary(out) | file_ends(out)
    if counts["records"] and not counts["calls"]:
        print_sentence("no record was a call (are the files of --calls and --outcomes swapped?)")
    elif counts["failures"] and counts["expired"] and not counts["successes"]:
        print_sentence(
            "no outcome reports a success (if silence means one, set `silence` and `horizon` in [task.NAME])"
        )
    if as_json:
        print_json(counts)
    else:
        show(counts, console())


@app.command(short_help="Run the dataflow between Kafka topics.")
def run(
    *,
    config: Config = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the snapshot and the state; by default service.folder."),
    ] = None,
    processes: Annotated[int, typer.Option(metavar="N", min=1, max=12, help="Processes that share the work.")] = 1,
    accept_config_change: Annotated[
        bool,
        typer.Option("--accept-config-change", help="Resume although settings that decide verdicts have changed."),
    ] = False,
    accept_data_loss: Annotated[
        bool,
        typer.Option(
            "--accept-data-loss",
            help="Resume although records are lost: expired unread, or in a topic that was deleted and created again.",
        ),
    ] = False,
    accept_unsealed_state: Annotated[
        bool,
        typer.Option(
            "--accept-unsealed-state", help="Accept state that has no key yet, and seal it with service.state_key_file."
        ),
    ] = False,
    wait_for_broker: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN", help="How long the broker may be away at the start, such as 60s; by default for ever."
        ),
    ] = None,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Take the topics from another service that has claimed them, or go on in a copy that fell behind.",
        ),
    ] = False,
    member: Annotated[int | None, typer.Option(hidden=True)] = None,
    addresses: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Run the dataflow between Kafka topics until it is stopped (SIGTERM or ctrl-C).

    After a stop or a crash, the same command resumes where it was, also with another number of processes.
    """
    from flows.settings import load

    settings = load(config)

    from flows.service.member import Member, run_as_member
    from flows.service.run import run_service
    from flows.service.service_run import ServiceRun

    service = ServiceRun(
        settings,
        out or Path(settings.service.folder),
        accept_config_change,
        accept_data_loss,
        accept_unsealed_state,
        None if wait_for_broker is None else span(wait_for_broker, "--wait-for-broker"),
        take_over,
    )
    if member is not None:
        run_as_member(service, Member(member, tuple(addresses.split(";"))))
        return
    command = ["run", "--out", str(service.out)]
    command += [] if config is None else ["--config", str(config)]
    command += ["--accept-data-loss"] if accept_data_loss else []
    run_service(service, processes, command)


@app.command(short_help="Write synthetic calls and outcomes with known truth.")
def simulate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for calls.jsonl, outcomes.jsonl and truth.json.")],
    days: Annotated[float, typer.Option(metavar="DAYS", min=0.001, max=3650, help="Length of the period.")] = 14.0,
    calls_per_day: Annotated[
        float, typer.Option(metavar="CALLS", min=0.001, max=1e8, help="Mean number of calls.")
    ] = 5_000.0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="The same seed gives the same bytes.")] = 7,
) -> None:
    """Write synthetic calls and outcomes with known truth."""
    if days * calls_per_day > MOST_CALLS:
        raise UsageError(
            f"--days, --calls-per-day: their product must be at most {MOST_CALLS:,} calls; "
            f"got {days * calls_per_day:,.0f} (write several smaller sets)"
        )
    for name in ("calls.jsonl", "outcomes.jsonl", "truth.json"):
        if (out / name).exists():
            raise UsageError(f"--out: must hold no {name}; {out} does (choose another folder)")
    from flows.demo.simulate import simulate as write

    made = write(out, days=days, calls_per_day=calls_per_day, seed=seed)
    for path in (made.calls, made.outcomes, made.truth):
        sys.stdout.write(f"{path}\n")


@app.command(short_help="Print the schemas of all records and topics.")
def schema(
    only: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this document: asyncapi, contract, a record such as AgentCall."),
    ] = None,
) -> None:
    """Print the JSON Schemas of all records and of contract files, and the AsyncAPI document of all topics."""
    from aftercall import __version__
    from aftercall.contracts.file_schema import contract_schema
    from aftercall.schema import asyncapi, json_schemas

    document: dict[str, Any] = {
        "schemas": json_schemas(),
        "asyncapi": asyncapi(__version__),
        "contract": contract_schema(),
    }
    if only is not None:
        choices = {"asyncapi": document["asyncapi"], "contract": document["contract"], **document["schemas"]}
        if only not in choices:
            raise UsageError(f"--only: must name a document; got {only!r} (choose one of {', '.join(choices)})")
        document = choices[only]
    print_json(document)


app.command(
    short_help="Check the settings and the broker, and print every value in force.",
    epilog=exits(no="the broker answers, but a topic is missing or this user may not use it"),
)(check)
app.command(
    short_help="List what changed within a week, in all groups together.",
    epilog=exits(undecided="the snapshot holds no week that has ended"),
)(digest)
app.command(short_help="Show what got worse, in all task types or in one.")(insights)
app.command(short_help="List alerts, the costliest first.")(alerts)
app.command(short_help="Show where a run is, how complete, and what was refused.")(status)
app.command(
    short_help="Show how far agents can be trusted, and what moved it.",
    epilog=exits(undecided="the snapshot holds no score yet"),
)(trust)
app.command(
    short_help="Judge another policy by what was logged.",
    epilog=exits(undecided="what is logged does not tell"),
)(evaluate_policy)
app.command(short_help="Mark a deployment, so that alerts can name it.")(mark)
app.command(short_help="Remove calls from state, snapshot and history.")(erase)
app.command(short_help="Print a call, its verdict, the statements about it, and its texts.")(show)
app.add_typer(contract)
app.add_typer(dead_letters)
app.add_typer(evals)
app.add_typer(golden)
app.add_typer(topics)


def _fill_standard_streams() -> None:
    """Open the standard streams that the caller has closed: files opened later must not get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))


def _spread(arguments: Iterable[str]) -> list[str]:
    """Rewrite `--calls A B`, to which a shell expands `--calls *.jsonl`, as `--calls A --calls B` for typer.

    Raises:
        UsageError: a list is empty, or the path of an option is: to Python that would be the current folder.
    """
    repeated: list[str] = []
    option = before = ""
    for argument in (*arguments, "-"):
        empty = argument.removesuffix("=") if argument else option if option in LISTS else before
        if empty in PATH_OPTIONS and empty != argument:
            raise UsageError(f"{empty}: must be a path; got an empty one ('.' is this folder)")
        before = argument
        if argument.startswith("-"):
            if option in LISTS and repeated[-1] == option:
                what = "a file; got none (name your files)" if option in LISTS[:3] else "an id; got none (name it)"
                raise UsageError(f"{option}: must be followed by {what}")
            option = argument
        elif option in LISTS and repeated[-1] != option:
            repeated.append(option)
        repeated.append(argument)
    return repeated[:-1]
