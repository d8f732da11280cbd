"""Prints what changed within a week: `aftercall digest`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.answers import console, print_json
from flows.cli.options import SNAPSHOT, Json, SnapshotPath, snapshot_file


def digest(
    *,
    snapshot: SnapshotPath = SNAPSHOT,
    week: Annotated[
        str | None, typer.Option(metavar="WEEK", help="ISO week (UTC), such as 2026-W47; by default the newest.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List what changed within a week, in all groups together, with its alerts and the week so far.

    On average at most 5 % of the entries are false.
    """
    from flows.reports.alerts import plain_alert
    from flows.reports.digest import NoWeekError, read_digest
    from flows.reports.digest_view import name_alerts, show_digest

    try:
        report = read_digest(snapshot_file(snapshot), week)
    except NoWeekError as none_yet:
        if as_json:
            print_json({"week": None, "alerts": [plain_alert(alert) for alert in none_yet.alerts]})
        else:
            name_alerts(none_yet.alerts, console())
        raise
    if as_json:
        print_json(report.to_dict())
    else:
        show_digest(report, console())
