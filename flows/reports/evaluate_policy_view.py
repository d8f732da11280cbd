"""Prints how policies would do."""

from __future__ import annotations

import math
from typing import Final

from rich.console import Console
from rich.text import Text

from aftercall.printable import printable
from flows.reports.evaluate_policy import Evaluation
from flows.reports.fitting import Column, fitted
from flows.reports.words import moment
from models.evaluation import Estimate

_NONE: Final = "-"


def show_evaluation(found: Evaluation, console: Console) -> None:
    """Print a line for each policy, then what to know before one believes it."""
    name = printable(found.task_type)
    console.print(
        Text(
            f"{name}: success rates, 95 %, by {found.verdicts:,} verdicts of the {found.with_propensity:,} of "
            f"{found.calls:,} calls that have a propensity, as of {moment(found.as_of)}."
        )
    )
    rows = found.policies
    columns = [
        Column("DR", [_estimate(row.judged.dr) for row in rows]),
        Column("SNIPS", [_estimate(row.judged.snips) for row in rows]),
        Column("IPS", [_estimate(row.judged.ips) for row in rows], least=100),
        Column("verdicts worth", [f"{row.judged.effective:,.0f}" for row in rows], least=60),
        Column("whatever silence hides", [_between(*row.judged.bounds) for row in rows], least=80),
    ]
    console.print(fitted([(printable(row.policy),) for row in rows], ("policy",), columns, console.width))
    if found.too_young:
        console.print(Text(f"{found.too_young:,} newer calls are left out: few of their verdicts are in."))
    if not found.corrected:
        console.print(Text("Verdicts still out are not made up for: there is no history of 72 h of both kinds yet."))
    for row in rows:
        for warning in row.warnings:
            console.print(Text(f"{printable(row.policy)}: {printable(warning)}."))


def _estimate(one: Estimate) -> str:
    if math.isnan(one.rate):
        return _NONE
    if math.isnan(one.low):
        return f"{100 * one.rate:.1f} %"
    return f"{100 * one.rate:.1f} % ({_between(one.low, one.high)})"


def _between(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f}"
