"""Compares a suite with production, under production's weights: `aftercall eval weigh`."""

from __future__ import annotations

from typing import Annotated

import typer

from aftercall.errors import ExitCode
from flows.cli.answers import console, print_json
from flows.cli.options import SNAPSHOT, Json, SnapshotPath, snapshot_file


def weigh(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The data set, as `eval run --emit` had it.")],
    *,
    snapshot: SnapshotPath = SNAPSHOT,
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="The task type of production; by default all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give each case the weight of its stratum in production, and compare the suite's pass rate with production's.

    Strata are by segment, length of the input and first tool, as far as both have them; never by the outcome.
    """
    from aftercall import open_snapshot
    from flows.evaluation.emit import task_type_of
    from flows.evaluation.weigh import print_weighing, weigh_report, weigh_suite

    opened = open_snapshot(snapshot_file(snapshot))
    try:
        found = weigh_suite(opened, task_type_of(dataset), task)
    finally:
        opened.close()
    report = weigh_report(found)
    if as_json:
        print_json(report)
    else:
        print_weighing(found, console())
    if report["state"] == "cannot_say":
        raise typer.Exit(ExitCode.UNDECIDED)
