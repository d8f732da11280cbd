"""Marks a change that was made on purpose: `aftercall mark`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from aftercall.errors import UsageError
from aftercall.printable import printable
from aftercall.times import to_us
from flows.cli.options import Config, moment


def mark(
    *,
    task: Annotated[str, typer.Option(metavar="TASK", help="The task type that it concerns; '*' for all of them.")],
    text: Annotated[str, typer.Option(metavar="TEXT", help='What was changed, such as "prompt v8".')],
    at: Annotated[str | None, typer.Option(metavar="TIME", help="When; by default now.")] = None,
    mark_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Its id; by default a hash of time, task type and text.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Append it to this file, for `replay --marks`; else it is sent to its topic."
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Mark a change that was made on purpose, such as a deployment: alerts name the mark nearest before their change.

    Given again with the same --at, or --id, it leaves one mark: a repeat is a duplicate.
    """
    from flows.dead_letters.logs import place_of
    from flows.marking import append_mark, new_mark, send_mark
    from flows.settings import load

    settings = load(config)
    when = moment(at, "--at")
    made = new_mark(None if when is None else to_us(when), task, text, mark_id, settings)
    if file is None and "kafka" not in settings.model_fields_set:
        raise UsageError(
            "--config, --file: one of them must say where the mark goes; neither does (give the settings of a service, "
            "with [kafka], or a file for `replay --marks`)"
        )
    place = append_mark(made, file) if file is not None else send_mark(made, settings.kafka)
    sys.stdout.write(printable(f"mark {made.mark_id} at {made.occurred_at}: {place_of(place)}") + "\n")
