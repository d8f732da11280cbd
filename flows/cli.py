"""The command line. Each command is thin; errors a user can cause are one sentence and an exit code (docs/contract.md, section 5)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

app = typer.Typer(
    name="aftercall",
    help="What your LLM agents really achieve in production.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Config = Annotated[Path | None, typer.Option("--config", help="aftercall.toml; every key also as AFTERCALL_SECTION__KEY.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Workers = Annotated[int, typer.Option(min=1, max=12, help="Bytewax workers (threads).")]

FAILED, USAGE = 1, 2


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for traffic and results; an earlier demo in it is replaced.")] = Path(
        "aftercall-demo"
    ),
) -> None:
    """Simulate traffic with a hidden incident, run the real dataflow over it, and show what it found."""
    with _one_sentence():
        from flows.demo import demo as run_demo

        run_demo(out, _console(), _progress_console())


@app.command()
def replay(
    calls: Annotated[list[Path], typer.Option(help="Files of calls: .jsonl, .jsonl.gz, .jsonl.zst. May be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder for outcomes.duckdb and the .jsonl outputs.")],
    outcomes: Annotated[list[Path] | None, typer.Option(help="Files of outcomes. May be repeated.")] = None,
    horizon: Annotated[str | None, typer.Option(help="How long outcomes of a call count, such as 30d.")] = None,
    config: Config = None,
    workers: Workers = 1,
    accept_config_change: Annotated[
        bool, typer.Option("--accept-config-change", help="Go on though settings that decide verdicts have changed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the dataflow over files in event-time order, to their end. Killed, the same command goes on where it was."""
    with _one_sentence():
        from flows.progress import Progress
        from flows.replay import Replay, run
        from flows.settings import load
        from flows.summary import show, summary

        settings = load(config, join={"horizon": horizon})
        with Progress(_progress_console(), "replaying") as progress:
            warnings = run(
                Replay(calls, outcomes or [], out, settings, workers, accept_config_change), progress.update
            )
        for warning in warnings:
            _say(warning)
        found = summary(out)
        if as_json:
            _print_json(found)
        else:
            show(found, _console())


@app.command()
def insights(
    task: Annotated[str, typer.Argument(help="The task type.")],
    snapshot: Annotated[Path, typer.Option(help="The snapshot, or the folder it lies in.")] = Path("outcomes.duckdb"),
    lookback: Annotated[str, typer.Option(help="The span that is judged.")] = "48h",
    baseline: Annotated[str, typer.Option(help="The span before it that it is judged by.")] = "168h",
    as_of: Annotated[str | None, typer.Option(help="End of the lookback, RFC 3339; default: the snapshot's.")] = None,
    as_json: Json = False,
) -> None:
    """Compare the last days of a task type with those before: what degraded, since when, and where to send calls."""
    with _one_sentence():
        from flows.insights import insights as look
        from flows.insights_view import render

        file = snapshot / "outcomes.duckdb" if snapshot.is_dir() else snapshot
        found = look(file, task, _span(lookback, "--lookback"), _span(baseline, "--baseline"), _moment(as_of))
        if as_json:
            sys.stdout.write(found.to_json() + "\n")
        else:
            render(found, _console())


@app.command()
def simulate(
    out: Annotated[Path, typer.Option(help="Folder for calls.jsonl, outcomes.jsonl and truth.json.")],
    days: Annotated[float, typer.Option(help="How long.")] = 14.0,
    calls_per_day: Annotated[float, typer.Option(help="How many.")] = 5_000.0,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 7,
) -> None:
    """Write synthetic calls and outcomes with known truth."""
    with _one_sentence():
        from flows.simulate import simulate as write

        made = write(out, days=days, calls_per_day=calls_per_day, seed=seed)
        for path in (made.calls, made.outcomes, made.truth):
            sys.stdout.write(f"{path}\n")


@app.command()
def schema(
    only: Annotated[
        str | None, typer.Option(help="Print just this: asyncapi, or a record such as AgentCall.")
    ] = None,
) -> None:
    """Print the JSON Schemas of all records and the AsyncAPI document of all topics."""
    with _one_sentence():
        from aftercall import __version__
        from aftercall.schema import asyncapi, json_schemas

        document: dict[str, Any] = {"schemas": json_schemas(), "asyncapi": asyncapi(__version__)}
        if only is not None:
            choices = {"asyncapi": document["asyncapi"], **document["schemas"]}
            if only not in choices:
                raise UsageError(f"--only: must be one of {', '.join(choices)}; got {only!r}")
            document = choices[only]
        _print_json(document)


@app.command()
def check(config: Config = None, as_json: Json = False) -> None:
    """Check the configuration and print every value in force."""
    with _one_sentence():
        from flows.settings import load

        effective = load(config).effective()
        if as_json:
            _print_json(effective)
            return
        for section, values in effective.items():
            sys.stdout.write(f"[{section}]\n")
            for key, value in values.items():
                sys.stdout.write(f"{key} = {json.dumps(value, ensure_ascii=False)}\n")
            sys.stdout.write("\n")


class UsageError(Exception):
    """A wrong command line."""


@contextmanager
def _one_sentence() -> Iterator[None]:
    """What a user can cause ends in one sentence on standard error, never in a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on where it was")
        raise typer.Exit(130) from None
    except Exception as error:
        answer = _answer(error)
        if answer is None:
            raise
        message, code = answer
        _say(message)
        raise typer.Exit(code) from None


def _answer(error: BaseException) -> tuple[str, int] | None:
    """The sentence and the exit code; None for a defect of ours."""
    # Bytewax wraps what a step raises, so look through the causes.
    seen: BaseException | None = error
    while seen is not None:
        name = type(seen).__name__
        if name in {"SettingsError", "UsageError"} or (name == "ReplayError" and getattr(seen, "usage", False)):
            return str(seen), USAGE
        if name in {"ReplayError", "InputError", "OutputError", "SnapshotError", "InsightError"}:
            return str(seen), FAILED
        if isinstance(seen, OSError) and seen.filename is not None:
            return f"{seen.filename}: {seen.strerror}", FAILED
        seen = seen.__cause__ or seen.__context__
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
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=parse_time(text))
    except ValueError as wrong:
        raise UsageError(f"--as-of: {wrong}") from None


def _say(sentence: str) -> None:
    sys.stderr.write(f"aftercall: {sentence}\n")


def _print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n")


def _console() -> Console:
    return Console(highlight=False)


def _progress_console() -> Console:
    return Console(stderr=True, highlight=False)
