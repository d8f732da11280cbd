"""Judges a policy that was not followed: `aftercall evaluate-policy`."""

from __future__ import annotations

from typing import Annotated

import typer

from aftercall.names import plain_name
from flows.cli.answers import console, print_json
from flows.cli.options import SNAPSHOT, Json, SnapshotPath, snapshot_file


def evaluate_policy(
    *,
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task type.")],
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="fixed:MODEL/CONFIG, weights:FILE (JSON) or cheapest-within:2pts; by default each arm alone.",
        ),
    ] = None,
    snapshot: SnapshotPath = SNAPSHOT,
    as_json: Json = False,
) -> None:
    """Show how often calls would have succeeded under another policy, by the propensities that were logged.

    The policy that was followed comes first. Where estimates disagree, or few verdicts tell of a policy, believe none.
    """
    from flows.reports.evaluate_policy import evaluate_policy as evaluate
    from flows.reports.evaluate_policy_view import show_evaluation

    found = evaluate(snapshot_file(snapshot), plain_name(task), policy)
    if as_json:
        print_json(found.to_dict())
    else:
        show_evaluation(found, console())
