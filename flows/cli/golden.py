"""Runs golden sets at night: `aftercall golden`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from aftercall.errors import ExitCode, UsageError
from aftercall.printable import printable
from flows.cli.answers import console, exits, print_json, print_sentence
from flows.cli.options import Config, Json

golden = typer.Typer(
    name="golden",
    help="Run golden sets at night, and alarm where rows have regressed.",
    short_help="Run golden sets at night.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@golden.callback()
def _golden() -> None:
    """Run golden sets at night, and alarm where rows have regressed."""


@golden.command(
    short_help="Run the night of a golden set, for any cron.",
    epilog=exits(no="rows have regressed", undecided="there are fewer than 4 nights before, or too many errors"),
)
def run(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Of [golden.NAME]; by default all.")] = None,
    *,
    again: Annotated[bool, typer.Option("--again", help="Run the night although it was run.")] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Rows that have regressed are right from this night on, and alarm not.")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Run golden sets, each once a night, and alarm where rows have regressed.

    A night that was run is not run again; one that was interrupted is resumed.
    """
    from flows.settings import load

    settings = load(config)
    names = _chosen(name, list(settings.golden))

    from flows.evaluation.golden import run_night
    from flows.evaluation.golden_view import night_json
    from flows.evaluation.nights import night_of
    from flows.evaluation.own_output import end_despite_threads, prints_to_stderr
    from flows.runtime.progress import Progress

    codes: list[ExitCode] = []
    nights: list[dict[str, Any]] = []
    for one in names:
        golden_set = settings.golden[one]
        night = night_of(datetime.now(UTC), golden_set.begins_at, ZoneInfo(golden_set.timezone))
        with prints_to_stderr(), Progress(console(stderr=True), f"asking {one}", "answers") as progress:
            found = run_night(one, settings, night, progress.update, again=again or accept, accept=accept)
        if found is None:
            print_sentence(f"[golden.{one}]: the night of {night} was run (--again runs it once more)")
            continue
        codes.append(found.ending.code)
        nights.append(night_json(found))
        for line in () if as_json else found.lines():
            sys.stdout.write(f"{printable(line)}\n")
    if as_json:
        print_json({"nights": nights})
    code = next((one for one in (ExitCode.NO, ExitCode.UNDECIDED) if one in codes), ExitCode.DONE)
    end_despite_threads(code)
    if code != ExitCode.DONE:
        raise typer.Exit(code)


@golden.command(short_help="Run golden sets at their hours, where there is no cron.")
def serve(*, config: Config = None) -> None:
    """Run each golden set once a night, at its hour, until stopped with SIGTERM or ctrl-C."""
    from flows.settings import load

    settings = load(config)
    _chosen(None, list(settings.golden))

    from flows.evaluation.golden_serve import serve_nights

    def show(line: str) -> None:
        sys.stdout.write(f"{printable(line)}\n")
        sys.stdout.flush()

    try:
        serve_nights(settings, show)
    except KeyboardInterrupt:
        print_sentence("stopped; a night that was being run is resumed at the next start")


def _chosen(name: str | None, there: list[str]) -> list[str]:
    if not there:
        raise UsageError(
            "[golden.NAME]: there must be a golden set in the settings; got none (add a section, see docs)"
        )
    if name is not None and name not in there:
        raise UsageError(f"NAME: must be a golden set of the settings; got {name!r} (choose one of {', '.join(there)})")
    return there if name is None else [name]
