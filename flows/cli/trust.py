"""Shows how far agents can be trusted: `aftercall trust`."""

from __future__ import annotations

from typing import Annotated

import typer

from aftercall.names import plain_name
from flows.cli.answers import console, print_json
from flows.cli.options import SNAPSHOT, Json, SnapshotPath, snapshot_file


def trust(
    *,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="The task type; without it, all of them.", show_default=False)
    ] = None,
    snapshot: SnapshotPath = SNAPSHOT,
    as_json: Json = False,
) -> None:
    """Show the trust score of each task type, or of one with its dimensions and models, and what moved it in a day.

    Trust the lower end of a score: it falls where little is known, and as what is known ages.
    """
    from flows.reports.trust import read_trust
    from flows.reports.trust_view import show_parts, show_wholes

    found = read_trust(snapshot_file(snapshot), None if task is None else plain_name(task))
    if as_json:
        print_json({"trust": [row.to_dict() for row in found]})
    elif task is None:
        show_wholes(found, console())
    else:
        show_parts(found, console())
