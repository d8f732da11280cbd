"""Prints the evidence behind the rates of `insights`: intervals, silence, and how soon a drop would be noticed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from flows.reports.fitting import Column, config_name, fitted
from flows.reports.insights import Insight
from flows.reports.insights_compare import ArmInsight
from flows.reports.insights_evidence import DetectionDelay
from flows.reports.words import bare, interval, wait_text

_OF_RATES: Final = (
    "In %. 95 %: an interval that may be read at any moment. open: calls that may still get a verdict. final: the rate "
    "estimated for when all outcomes are in; mature: the share of them that are. Even if you look every hour for four "
    "weeks, a model that has not changed is called worse with a probability of at most 5 %; alerts have a separate "
    "promise."
)
_OF_SILENCE: Final = (
    "answered: calls with a verdict, in %; finally: the share that will have one. uneven: the rate of all calls if "
    "successes are answered up to twice as readily as failures, or half; bounds: those of the rate of all calls, "
    "whatever the other verdicts would be. a day: outcomes. noticed: median time to notice a drop of 5 points."
)


def show_evidence(insight: Insight, console: Console) -> None:
    """Print two tables: of the rates, and of what limits them."""
    arms = [*insight.arms, insight.overall]
    for title, columns, caption in (
        ("The rates, with their intervals", _of_rates(arms), _OF_RATES),
        ("What limits them", _of_limits(arms), _OF_SILENCE),
    ):
        names = [("all" if arm.model is None else arm.model, config_name(arm.config)) for arm in arms]
        styles = ["bold" if arm.model is None else None for arm in arms]
        console.print(Text(f"\n{title}"))
        console.print(fitted(names, ("model", "config"), columns, console.width, styles))
        console.print(Text(caption, "dim"))
    console.print()


def _of_rates(arms: Sequence[ArmInsight]) -> list[Column]:
    finals = [arm.corrected for arm in arms]
    columns = [
        Column("before", [bare(arm.baseline.rate) for arm in arms]),
        Column("outcomes", [f"{arm.baseline.resolved:,}" for arm in arms], least=100),
        Column("now", [bare(arm.current.rate) for arm in arms]),
        Column("95 %", [interval(arm.current.low, arm.current.high) for arm in arms]),
        Column("outcomes", [f"{arm.current.resolved:,}" for arm in arms], least=80),
        Column("open", [f"{arm.current.pending:,}" for arm in arms], least=80),
    ]
    if any(final is not None and final.rate is not None for final in finals):
        columns += [
            Column("final", ["" if final is None else bare(final.rate) for final in finals]),
            Column("mature", ["" if final is None else bare(final.maturity) for final in finals], least=60),
        ]
    return columns


def _of_limits(arms: Sequence[ArmInsight]) -> list[Column]:
    quiet = [arm.silence for arm in arms]
    delays = [arm.power for arm in arms]
    return [
        Column("answered", ["-" if one is None else bare(one.answered) for one in quiet]),
        Column("finally", ["-" if one is None else bare(one.answered_finally) for one in quiet], least=60),
        Column("uneven", ["" if one is None else interval(one.gamma_low, one.gamma_high) for one in quiet], least=80),
        Column("bounds", ["" if one is None else interval(one.low, one.high) for one in quiet]),
        Column("a day", ["" if one is None else f"{one.outcomes_per_day:,.0f}" for one in delays], least=80),
        Column("noticed", ["" if one is None else _when(one) for one in delays]),
    ]


def _when(delay: DetectionDelay) -> str:
    return f"{'> ' if delay.days is None else ''}{wait_text(delay.days)}"
