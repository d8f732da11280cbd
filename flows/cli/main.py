"""The command line. Each command is thin; errors a user can cause are one sentence and an exit code.

Where the exit codes and sentences are promised: docs/reference.md, section 5.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.exceptions import TyperException

from aftercall.times import to_datetime, to_us
from flows.cli.digest import digest
from flows.cli.erase import erase
from flows.cli.kafka import topics

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    name="aftercall",
    help="What your LLM agents really achieve in production.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes cut the names of options off
)
app.add_typer(topics)

Files = list[Path] | None
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="aftercall.toml; keys also as AFTERCALL_SECTION__KEY."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Workers = Annotated[int, typer.Option(min=1, max=12, help="Bytewax workers (threads).")]

FAILED, USAGE, INTERRUPTED = 1, 2, 130
LISTS = ("--calls", "--outcomes", "--call", "--session")
MOST_CALLS = 50_000_000
_USAGE_ERRORS = {"SettingsError", "UsageError", "KafkaConfigError"}
_SYSTEM_ERRORS = {
    "RunError",
    "InputError",
    "OutputError",
    "SnapshotError",
    "StateError",
    "InsightError",
    "KafkaFailure",
    "StoppedWaiting",
    "ServiceError",
}


class UsageError(Exception):
    """A wrong command line."""


def main() -> None:
    """What the console script runs: a command, whose errors become one sentence and an exit code.

    Nobody is spared the traceback of a defect of ours.
    """
    _fill_standard_streams()
    try:
        code = app(_spread(sys.argv[1:]) or ["--help"], prog_name="aftercall", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not fail over the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except Exception as error:
        answer = _answer(error)
        if answer is None:
            raise
        sentence, code = answer
        _say(sentence)
    if code == INTERRUPTED:
        _say("interrupted; give the same command again to go on")
    sys.exit(code)


@app.command(short_help="Simulate an incident, find it, show what was found.")
def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for traffic and results; an earlier demo in it is replaced.")
    ] = Path("aftercall-demo"),
) -> None:
    """Simulate traffic with a hidden incident, run the real dataflow over it, and show what it found."""
    from flows.demo.demo import demo as run_demo

    run_demo(out, _console(), _console(stderr=True))


@app.command(short_help="Run the dataflow over files.")
def replay(
    *,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for outcomes.duckdb and the .jsonl outputs.")],
    calls: Annotated[Files, typer.Option(metavar="FILE...", help="Calls: .jsonl, .jsonl.gz or .jsonl.zst.")] = None,
    outcomes: Annotated[Files, typer.Option(metavar="FILE...", help="Outcomes, likewise.")] = None,
    horizon: Annotated[
        str | None, typer.Option(metavar="DURATION", help="How long outcomes of a call count, such as 30d.")
    ] = None,
    config: Config = None,
    workers: Workers = 1,
    accept_config_change: Annotated[
        bool,
        typer.Option("--accept-config-change", help="Go on with a run though settings that decide verdicts changed."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the dataflow over files in event-time order, to their end.

    Interrupted or killed, the same command goes on where it was.
    """
    if not calls and not outcomes:
        raise UsageError("--calls, --outcomes: at least one file must be given; got none (name your files)")
    if horizon is not None:
        _span(horizon, "--horizon")

    from flows.replay import Replay, run
    from flows.reports.summary import show, summary
    from flows.runtime.progress import Progress
    from flows.settings import load

    settings = load(config, join={"horizon": horizon})
    with Progress(_console(stderr=True), "replaying") as progress:
        job = Replay(calls or [], outcomes or [], out, settings, workers, accept_config_change)
        warnings = run(job, progress.update)
    for warning in warnings:
        _say(warning)
    found = summary(out)
    if found["records"] and not found["calls"]:
        _say("no record was a call (are the files of --calls and --outcomes swapped?)")
    elif found["failures"] and found["expired"] and not found["successes"]:
        _say("nobody reported a success (if silence means one, set `silence` and `horizon` in [task.NAME])")
    if as_json:
        _print_json(found)
    else:
        show(found, _console())


@app.command(short_help="Run the dataflow between Kafka topics.")
def run(
    *,
    config: Config = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for the snapshot and the state; else service.folder.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, max=12, help="Processes that share the work.")] = 1,
    accept_config_change: Annotated[
        bool,
        typer.Option("--accept-config-change", help="Go on though settings that decide verdicts changed."),
    ] = False,
    accept_data_loss: Annotated[
        bool,
        typer.Option("--accept-data-loss", help="Go on though records that were still to be read have expired."),
    ] = False,
    member: Annotated[int | None, typer.Option(hidden=True)] = None,
    addresses: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Run the dataflow between Kafka topics until it is stopped (SIGTERM or ctrl-C).

    Stopped or killed, the same command goes on where it was, also with another number of processes.
    """
    from flows.service.run import Member, ServiceRun, be_member, run_service
    from flows.settings import load

    settings = load(config)
    service = ServiceRun(settings, out or Path(settings.service.folder), accept_config_change, accept_data_loss)
    if member is not None:
        be_member(service, Member(member, tuple(addresses.split(";"))))
        return
    command = ["run", "--out", str(service.out)]
    command += [] if config is None else ["--config", str(config)]
    command += ["--accept-data-loss"] if accept_data_loss else []
    run_service(service, processes, command)


@app.command(short_help="Compare the last days of a task type with those before.")
def insights(
    *,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task type.")],
    snapshot: Annotated[Path, typer.Option(metavar="FILE", help="The snapshot, or the folder it lies in.")] = Path(
        "outcomes.duckdb"
    ),
    lookback: Annotated[str, typer.Option(metavar="DURATION", help="The span that is judged.")] = "48h",
    baseline: Annotated[str, typer.Option(metavar="DURATION", help="The span before it, to judge it by.")] = "168h",
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="End of the lookback, RFC 3339; by default the snapshot's end.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Compare the last days of a task type with those before: what degraded, since when, and where to send calls."""
    from flows.reports.insights import insights as look
    from flows.reports.insights_view import render

    file = snapshot / "outcomes.duckdb" if snapshot.is_dir() else snapshot
    spans = _span(lookback, "--lookback"), _span(baseline, "--baseline")
    for option, text, span in (("--lookback", lookback, spans[0]), ("--baseline", baseline, spans[1])):
        if not span or span % timedelta(hours=1):
            raise UsageError(f"{option}: must be whole hours, at least 1h; got {text} (rates are kept by the hour)")
    try:
        found = look(file, task, *spans, _moment(as_of))
    except OverflowError:
        rule = f"must not reach back beyond the year 1; got {lookback} and {baseline}"
        raise UsageError(f"--lookback, --baseline: {rule} (give shorter spans or a later --as-of)") from None
    if as_json:
        sys.stdout.write(found.to_json() + "\n")
    else:
        render(found, _console())


@app.command(short_help="Write synthetic calls and outcomes with known truth.")
def simulate(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for calls.jsonl, outcomes.jsonl and truth.json.")],
    days: Annotated[float, typer.Option(min=0.001, max=3650, help="Length of the period.")] = 14.0,
    calls_per_day: Annotated[float, typer.Option(min=0.001, max=1e8, help="Mean number of calls.")] = 5_000.0,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 7,
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
        str | None, typer.Option(metavar="NAME", help="Just this: asyncapi, or a record such as AgentCall.")
    ] = None,
) -> None:
    """Print the JSON Schemas of all records and the AsyncAPI document of all topics."""
    from aftercall import __version__
    from aftercall.schema import asyncapi, json_schemas

    document: dict[str, Any] = {"schemas": json_schemas(), "asyncapi": asyncapi(__version__)}
    if only is not None:
        choices = {"asyncapi": document["asyncapi"], **document["schemas"]}
        if only not in choices:
            raise UsageError(f"--only: must name a document; got {only!r} (choose one of {', '.join(choices)})")
        document = choices[only]
    _print_json(document)


@app.command(short_help="Check the settings and the broker, and print every value in force.")
def check(
    *,
    config: Config = None,
    broker: Annotated[
        bool | None,
        typer.Option("--broker/--no-broker", help="Reach the broker; by default where [kafka] is set at all."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the settings, print every value in force as TOML, and see whether the broker has what is needed."""
    from flows.cli.check import as_toml, ask_broker
    from flows.settings import load

    settings = load(config)
    configured = "kafka" in settings.model_fields_set
    if configured:
        from connectors.kafka.client import try_settings

        try_settings(settings.kafka.cluster())
    if not as_json:
        sys.stdout.write(as_toml(settings.effective()))
        sys.stdout.flush()
    reaching = configured if broker is None else broker
    findings = ask_broker(settings.kafka) if reaching else []
    if as_json:
        asked = {"broker": [finding._asdict() for finding in findings]} if reaching else {}
        _print_json(settings.effective() | asked)
    for finding in findings:
        if finding.level != "ok":
            _say(finding.sentence)
        elif not as_json:
            sys.stdout.write(f"# {finding.sentence}\n")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(FAILED)


app.command(short_help="What changed within a week, of all groups together.")(digest)
app.command(short_help="Remove calls from state, snapshot and history.")(erase)


def _fill_standard_streams() -> None:
    """Whoever started us may have closed some: files that are opened later must not get their numbers."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))


def _spread(arguments: Iterable[str]) -> list[str]:
    """`--calls A B` as `--calls A --calls B`: a shell makes the first of `--calls *.jsonl`, typer wants the second."""
    found: list[str] = []
    option = ""
    for argument in (*arguments, "-"):
        if argument.startswith("-"):
            if option in LISTS and found[-1] == option:
                what = "a file; got none (name your files)" if option in LISTS[:2] else "an id; got none (name it)"
                raise UsageError(f"{option}: must be followed by {what}")
            option = argument
        elif option in LISTS and found[-1] != option:
            found.append(option)
        found.append(argument)
    return found[:-1]


def _answer(error: BaseException) -> tuple[str, int] | None:
    """The sentence and the exit code; None for a defect of ours."""
    if isinstance(error, TyperException):
        command = getattr(getattr(error, "ctx", None), "command_path", "aftercall")
        what = " ".join(error.format_message().split()).rstrip(".")
        return f"{what[:1].lower()}{what[1:]} (see {command} --help)", USAGE
    from flows.runtime.engine import causes

    for seen in causes(error):
        # By name: a command imports only the modules it needs.
        name = type(seen).__name__
        if name in _USAGE_ERRORS or (name == "RunError" and getattr(seen, "usage", False)):
            return str(seen), USAGE
        if name in _SYSTEM_ERRORS:
            return str(seen), FAILED
        if type(seen).__module__ == "_duckdb":
            what = str(seen).partition("\n")[0]
            return f"snapshot: its database must be usable; {what} (see to the disk, then start again)", FAILED
        if isinstance(seen, OSError) and seen.strerror is not None:
            if seen.filename is None:
                return f"system: a file or stream cannot be used; {seen.strerror} (see to it, then try again)", FAILED
            return (
                f"{seen.filename}: must be usable; {seen.strerror} (check the path, its rights and the space)",
                FAILED,
            )
    return None


def _span(text: str, option: str) -> timedelta:
    from aftercall.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as wrong:
        raise UsageError(f"{option}: {wrong}") from None


def _moment(text: str | None) -> datetime | None:
    from aftercall.times import parse_time

    if text is None:
        return None
    try:
        return to_datetime(parse_time(text))
    except ValueError as wrong:
        raise UsageError(f"--as-of: {wrong}") from None


def _say(sentence: str) -> None:
    sys.stderr.write(f"aftercall: {sentence}\n")


def _print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: Any) -> str:
    from aftercall.times import format_time

    if isinstance(value, datetime):
        return format_time(to_us(value))
    return str(value)


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False)
