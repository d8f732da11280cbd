"""Lists and shows dead letters, and sends their records again: `aftercall dead-letters`."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import typer

from aftercall.errors import ExitCode, UsageError
from aftercall.printable import printable
from aftercall.records import DEAD_LETTER_REASONS
from aftercall.times import duration_us, to_us
from flows.cli.answers import exits, print_json, print_sentence
from flows.cli.options import Config, Json, moment, span

_LEAST_ID: Final = 8

dead_letters = typer.Typer(
    name="dead-letters",
    help="List dead letters, and send their records again.",
    short_help="List dead letters, and send their records again.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

From = Annotated[
    Path | None,
    typer.Option("--from", metavar="PATH", help="dead_letters.jsonl, or its folder; by default the topic."),
]
Reasons = Annotated[
    list[str] | None, typer.Option("--reason", metavar="REASON", help="Only of this reason; may be repeated.")
]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only written since then: RFC 3339, or a duration such as 2h.")
]


@dead_letters.callback()
def _dead_letters() -> None:
    """List dead letters, and send their records again."""


@dead_letters.command("list", short_help="List the newest dead letters, and count them by reason.")
def list_(
    *,
    config: Config = None,
    source: From = None,
    reason: Reasons = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=100_000, help="How many are listed.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest dead letters, and count all of them by reason."""
    since_us = _since(since, source)
    _check_reasons(reason)

    from flows.dead_letters.logs import open_log
    from flows.dead_letters.selection import Selection, survey
    from flows.dead_letters.view import list_document, list_lines
    from flows.settings import load

    log = open_log(load(config), source)
    found = survey(log, Selection(frozenset(reason or ()), since_us), limit)
    if as_json:
        print_json(list_document(found))
    else:
        _print(list_lines(found, log.name))


@dead_letters.command(short_help="Show one dead letter, and whether its record can be sent again.")
def show(
    *,
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="Its event_id, or the first 8 characters.")],
    config: Config = None,
    source: From = None,
    as_json: Json = False,
) -> None:
    """Show one dead letter, and whether its record can be sent again."""
    from flows.dead_letters.logs import LettersError, open_log
    from flows.dead_letters.originals import originals
    from flows.dead_letters.selection import find
    from flows.dead_letters.view import show_document, show_lines
    from flows.settings import load

    settings = load(config)
    if not re.fullmatch(rf"[0-9a-f]{{{_LEAST_ID},32}}", event_id):
        raise UsageError(
            f"EVENT_ID: must be {_LEAST_ID} to 32 hexadecimal digits; got {event_id!r} (see `dead-letters list`)"
        )
    log = open_log(settings, source)
    letters, marks = find(log, event_id)
    if len(letters) != 1:
        what = "several begin so" if letters else "none has it"
        raise LettersError(
            f"EVENT_ID: must be that of a dead letter in {log.name}; {what}: {event_id} (see `dead-letters list`)"
        )
    original = originals(letters, settings)[letters[0].record.event_id]
    if as_json:
        print_json(show_document(letters[0], marks, original))
    else:
        _print(show_lines(letters[0], marks, original))


@dead_letters.command(
    short_help="Send the records of dead letters again.",
    epilog=exits(no="some of the records were not sent"),
)
def redrive(
    *,
    config: Config = None,
    source: From = None,
    reason: Reasons = None,
    since: Since = None,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write calls.jsonl and outcomes.jsonl there, to replay.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also what would be refused again, and what was redriven before.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be sent.")] = False,
) -> None:
    """Send the records of dead letters again, to their topics or into files.

    What would be refused again under the present settings is listed first, and not sent without --force.
    """
    since_us = _since(since, source)
    _check_reasons(reason)

    from flows.dead_letters.destinations import IntoFiles, ToTopics
    from flows.dead_letters.logs import open_log
    from flows.dead_letters.redrive import carry_out, plan
    from flows.dead_letters.selection import Selection, choose
    from flows.dead_letters.view import plan_lines, result_lines
    from flows.settings import load

    settings = load(config)
    log = open_log(settings, source)
    if to is None and "kafka" not in settings.model_fields_set:
        raise UsageError("--to: must name a folder where no broker is set; none is given (give --to DIR or --config)")
    destination = ToTopics(settings) if to is None else IntoFiles(to)
    chosen = choose(log, Selection(frozenset(reason or ()), since_us), repeat=force)
    planned = plan(chosen.letters, log, settings, destination)
    _print(plan_lines(planned, force=force))
    sending = [*planned.ready, *(planned.again if force else ())]
    done = carry_out([] if dry_run else sending, destination, log)
    _print(result_lines(sending, done.refused, dry=dry_run))
    if chosen.redriven:
        _print([f"redriven before: {chosen.redriven:,} (--force sends them again)"])
    if chosen.left:
        print_sentence(f"{chosen.left:,} more match than one command sends (give the same command again)")
    if planned.lost or done.refused or chosen.left or (planned.again and not force):
        raise typer.Exit(ExitCode.NO)


def _since(text: str | None, source: Path | None) -> int | None:
    """The value of `--since`, us since 1970 UTC.

    Raises:
        UsageError: it is neither a time nor a duration, or the source has no times.
    """
    if text is None:
        return None
    if source is not None:
        raise UsageError("--since: must be left out with --from, as a file does not say when each letter was written")
    if re.fullmatch(r"\d+[smhd]", text):
        return time.time_ns() // 1000 - duration_us(span(text, "--since"))
    at = moment(text, "--since")
    return None if at is None else to_us(at)


def _check_reasons(reasons: list[str] | None) -> None:
    choices = [reason for reason in DEAD_LETTER_REASONS if reason != "redriven"]  # a mark is no dead letter
    for given in reasons or ():
        if given not in choices:
            raise UsageError(
                f"--reason: must be a reason of dead letters; got {given!r} (choose one of {', '.join(choices)})"
            )


def _print(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    sys.stdout.flush()
