"""Shows what a snapshot knows: `aftercall insights`, `aftercall alerts` and `aftercall status`."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Annotated

import typer

from aftercall.errors import UsageError
from aftercall.names import plain_name
from aftercall.printable import printable_json
from flows.cli.answers import console, print_json
from flows.cli.options import SNAPSHOT, Json, SnapshotPath, moment, snapshot_file, span


def insights(
    *,
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="The task type; without it, all of them.", show_default=False)
    ] = None,
    snapshot: SnapshotPath = SNAPSHOT,
    lookback: Annotated[str, typer.Option(metavar="DURATION", help="The span to judge.")] = "48h",
    baseline: Annotated[str, typer.Option(metavar="DURATION", help="The span before it, to compare with.")] = "168h",
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="End of the lookback, RFC 3339; by default the snapshot's end.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Compare what this source says, instead of the verdicts.")
    ] = None,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="Show intervals, silence, and how soon a drop would be noticed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what got worse, since when, how much it costs and what to do.

    Of all task types: open alerts, the costliest first, and one line for each. Of one task type: its last days against
    those before, and where to send its calls.
    """
    spans = span(lookback, "--lookback"), span(baseline, "--baseline")
    for option, text, given in (("--lookback", lookback, spans[0]), ("--baseline", baseline, spans[1])):
        if not given or given % timedelta(hours=1):
            raise UsageError(f"{option}: must be whole hours, at least 1h; got {text} (rates are kept by the hour)")
    for name, value in (("--source", source), ("--evidence", evidence or None)):
        if task is None and value is not None:
            raise UsageError(f"{name}: must come with a task type; got none (name one, such as `insights TASK {name}`)")
    from flows.reports.insights import insights as compare
    from flows.reports.insights_view import render
    from flows.reports.overview import overview
    from flows.reports.overview_view import show_overview

    until = moment(as_of, "--as-of")
    try:
        if task is None:
            whole = overview(snapshot_file(snapshot), *spans, until)
        else:
            one = compare(snapshot_file(snapshot), plain_name(task), *spans, until, source)
    except OverflowError:
        rule = f"must not reach back beyond the year 1; got {lookback} and {baseline}"
        raise UsageError(f"--lookback, --baseline: {rule} (give shorter spans or a later --as-of)") from None
    if as_json:
        sys.stdout.write(printable_json((whole if task is None else one).to_json()) + "\n")
    elif task is None:
        show_overview(whole, console())
    else:
        render(one, console(), evidence=evidence)


def alerts(
    *,
    snapshot: SnapshotPath = SNAPSHOT,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    as_json: Json = False,
) -> None:
    """List alerts: the open ones first, the costliest of them first; then those that were closed."""
    from flows.reports.alerts import read_alerts
    from flows.reports.alerts_view import show_alerts

    found = read_alerts(snapshot_file(snapshot), only_open=only_open)
    if as_json:
        print_json(found.to_dict())
    else:
        show_alerts(found, console())


def status(*, snapshot: SnapshotPath = SNAPSHOT, as_json: Json = False) -> None:
    """Show where a run is: how far it has read, how complete its verdicts are, and what it has refused."""
    from flows.reports.status import read_status
    from flows.reports.status_view import print_status

    found = read_status(snapshot_file(snapshot))
    if as_json:
        print_json(found)
    else:
        print_status(found, console())
