"""Prints the comparison report of `insights` as text and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

import numpy as np
from rich.console import Console, Group
from rich.markup import escape
from rich.text import Text

from aftercall.durations import format_duration
from aftercall.printable import printable
from flows.reports.alerts_view import first_line, mix_lines, show_alert
from flows.reports.fitting import Column, config_name, fitted
from flows.reports.insights import Insight, why_undecided
from flows.reports.insights_arms import Arms
from flows.reports.insights_compare import NOTABLE_DROP, ArmInsight
from flows.reports.insights_degraded import DegradedModel
from flows.reports.insights_evidence import DetectionDelay, Silence
from flows.reports.insights_evidence_view import show_evidence
from flows.reports.insights_rules_view import MOST_RULES, show_rules
from flows.reports.route_view import route_table
from flows.reports.suspicions_view import show_suspicions
from flows.reports.words import arm_name, bare, counted, interval, moment, percent, points, wait_text
from models.arrays import I64

NONE_WORSE: Final = "No model is certainly worse."
OF_SOURCE: Final = (
    "All rates are of what {} says, whatever the verdicts rest on; a call of which it says nothing is open. Alerts and "
    "recommendations rest on verdicts, and are left out."
)
ANSWERED_WELL: Final = 0.9
"""If a smaller share of the calls is answered, that is printed beside the rates."""
SHARED: Final = 1.5
"""Where so many outcomes tell as much as one that shares no conversation, that is printed."""
SHOWN: Final = 20
"""Models that are listed without `--evidence`."""


def render(insight: Insight, console: Console, *, evidence: bool = False) -> None:
    """Print an insight: open alerts, a summary sentence, what got worse, the models, and where traffic should go."""
    if insight.source is None:
        console.print(Text(first_line(insight.alerts, f" on {printable(insight.task_type)}")))
        for alert in insight.alerts:
            show_alert(alert, console, insight.route)
    names = [name for name in (insight.task_type, insight.source) if name is not None]
    console.print(
        f"{' · '.join(f'[bold]{escape(printable(name))}[/]' for name in names)} · "
        f"last {format_duration(insight.lookback)} against the "
        f"{format_duration(insight.baseline)} before, up to {moment(insight.as_of)}"
    )
    console.print(headline(insight))
    for mix in mix_lines(insight.plain_split(), []):
        console.print(mix, markup=False)
    for degraded in insight.degraded:
        if degraded.alert_id is None:
            console.print(Text("● ", "red") + Text(degraded_line(degraded)))
    _conclude(insight, console)
    if insight.arms:
        console.print()
        console.print(comparison(insight, console.width, None if evidence else SHOWN))
    show_rules(insight.rules, console, None if evidence else MOST_RULES)
    show_suspicions(insight.suspicions, console, named=False)
    if evidence:
        show_evidence(insight, console)
    overall = insight.overall
    lines = (silence_line(overall, insight.source, whole=evidence), shared_line(overall), power_line(insight.arms))
    for line in lines:
        if line:
            console.print(line, markup=False)
    _show_route(insight, console)
    if not evidence and insight.arms:
        console.print(Text("Intervals, calls without a verdict, and how soon a drop is noticed: --evidence", "dim"))


def _conclude(insight: Insight, console: Console) -> None:
    """The state in a sentence, where no line above has said it."""
    if insight.state == "no_model_worse":
        console.print(Text(NONE_WORSE, "green"))
    if insight.evidence == "not_enough_evidence":
        console.print(Text(undecided_line(insight), "yellow"))


def _show_route(insight: Insight, console: Console) -> None:
    if insight.source is not None:
        console.print(Text(OF_SOURCE.format(printable(insight.source)), "dim"))
    elif insight.route is None:
        console.print("No recommendation has been issued yet.")
    else:
        console.print()
        console.print(route_table(insight.route, console.width))
        if insight.route.valid_until < insight.as_of:
            console.print(Text("This recommendation has expired, and no newer one has been issued.", "yellow"))
        console.print(Text(insight.route.reason, "dim"))


def headline(insight: Insight) -> str:
    """The overall change of the success rate, in one sentence."""
    before, after, overall = insight.overall.baseline, insight.overall.current, insight.overall
    if overall.delta is None or overall.delta_low is None or overall.delta_high is None:
        return f"Nothing to compare: {why_undecided(insight)}."
    so_far = (
        f"Success rate {percent(before.rate)} -> {percent(after.rate)}: {points(overall.delta)} "
        f"({points(overall.delta_low)} to {points(overall.delta_high)}), "
        f"{after.resolved:,} of {after.calls:,} calls resolved."
    )
    final = overall.corrected
    if final is None or final.rate is None or final.delta is None or not after.pending:
        return so_far
    return (
        f"{so_far} Once all outcomes are in: {percent(final.rate)} ({interval(final.low, final.high)}), "
        f"{points(final.delta)} ({points(final.delta_low)} to {points(final.delta_high)})."
    )


def undecided_line(insight: Insight) -> str:
    """Why nothing can be said."""
    before, after = insight.overall.baseline.resolved, insight.overall.current.resolved
    drop = f"a drop of {100 * NOTABLE_DROP:.0f} points"
    if insight.overall.state == "not_enough_evidence":
        return f"Not enough evidence: {counted(before, 'outcome')} before and {after:,} now cannot exclude {drop}."
    return f"Not enough evidence on single models: none has the outcomes to exclude {drop}."


def silence_line(overall: ArmInsight, source: str | None = None, *, whole: bool = True) -> str | None:
    """How far calls without a verdict, or of which a source says nothing, could move the rate; None if they are few.

    `whole`: with the figures.
    """
    quiet = overall.silence
    if quiet is None or quiet.gamma_low is None or quiet.gamma_high is None or _answered(quiet) >= ANSWERED_WELL:
        return None
    judged = "get a verdict" if source is None else f"are judged by {printable(source)}"
    few = f"Only {percent(_answered(quiet))} of the calls {judged}, and the rates are of those."
    if not whole:
        return few
    return (
        f"{few} If failures are "
        f"reported {quiet.gamma:g} times as readily as successes, the rate of all calls is "
        f"{percent(quiet.gamma_high)}; if successes are, {percent(quiet.gamma_low)}. In any case it lies between "
        f"{percent(quiet.low)} and {percent(quiet.high)}. A random sample with verdicts would narrow this down."
    )


def shared_line(overall: ArmInsight) -> str | None:
    """How much outcomes of the same conversations tell; None where it makes little difference."""
    if overall.design_effect < SHARED:
        return None
    worth = 100 / overall.design_effect
    return (
        f"Outcomes of one conversation are alike: 100 tell as much as {worth:.0f} independent ones. "
        "Intervals allow for it."
    )


def power_line(arms: Arms) -> str | None:
    """The shortest and the longest detection delay of the arms; None without traffic."""
    days, within = arms.columns.power[1:]
    (timed,) = np.nonzero(~np.isnan(within))
    if not len(timed):
        return None
    order = timed[np.lexsort((days[timed], np.isnan(days[timed])))]
    first, last = arms.records(order[[0, -1]])
    shortest, longest = cast("DetectionDelay", first.power), cast("DetectionDelay", last.power)
    drop = f"A drop of {100 * shortest.drop:g} points"
    if shortest.days is None:
        return f"{drop} would not be noticed within 8 weeks at this traffic: too few outcomes for so small a change."
    line = f"{drop} would be noticed within about {wait_text(shortest.days)} at this traffic"
    if len(timed) == 1:
        return f"{line}."
    line += f" on {_name(first)}, "
    line += f"not within {wait_text(longest.days)}" if longest.days is None else wait_text(longest.days)
    return f"{line} on {_name(last)}."


def _answered(quiet: Silence) -> float:
    return quiet.answered if quiet.answered_finally is None else quiet.answered_finally


def _name(arm: ArmInsight) -> str:
    return arm_name(arm.model or "", arm.config)


def degraded_line(degraded: DegradedModel) -> str:
    """An arm whose spans differ without an alert: since when, by how much."""
    effect = ""
    if degraded.effect_low is not None and degraded.effect_high is not None:
        effect = f" ({points(degraded.effect_low)} to {points(degraded.effect_high)})"
    since = "" if degraded.since is None else f" since {moment(degraded.since)}"
    change = points((degraded.current or 0.0) - (degraded.baseline or 0.0))
    name = arm_name("all models" if degraded.model is None else degraded.model, degraded.config)
    rates = f"{percent(degraded.baseline)} -> {percent(degraded.current)}"
    return f"{name}: {rates}, {change}{effect}{since}; no alert is open"


def comparison(insight: Insight, width: int, most: int | None = None) -> Group:
    """The models, those that got worse first, then the busiest; the sum of all comes last."""
    alerted = [degraded for degraded in insight.degraded if degraded.alert_id is not None]
    arms = insight.arms
    shown = [*arms.records(_order(arms, alerted)[:most]), *([insight.overall] if len(arms) > 1 else [])]
    table = fitted(
        [("all" if arm.model is None else arm.model, config_name(arm.config)) for arm in shown],
        ("model", "config"),
        [
            Column("before", [bare(arm.baseline.rate) for arm in shown], least=50),
            Column("now", [bare(arm.best_rate) for arm in shown]),
            Column("change", [_change(arm, alerted) for arm in shown], left=True),
            Column("outcomes", [f"{arm.current.resolved:,}" for arm in shown], least=70),
        ],
        width,
        ["bold" if arm.model is None else "red" if _is_bad(arm, alerted) else None for arm in shown],
    )
    more = f"and {len(arms) - most:,} more (--evidence and --json have them all)" if most and len(arms) > most else ""
    return Group(_title(insight), table, *([Text(more)] if more else []))


def _order(arms: Arms, alerted: Sequence[DegradedModel]) -> I64:
    """The places of the arms: those that got worse first, then the busiest, then by name."""
    bad = arms.worse.copy()
    for degraded in alerted:
        bad |= arms.covered(degraded.model, degraded.config)
    return np.lexsort((-arms.columns.after[0], ~bad))


def _title(insight: Insight) -> str:
    columns = insight.arms.columns
    coming = (columns.known & ~np.isnan(columns.corrected[0])).any()
    estimated = coming and insight.overall.current.pending
    return f"Success rate of each model, in %{', estimated for when all outcomes are in' if estimated else ''}"


def _is_bad(arm: ArmInsight, alerted: Sequence[DegradedModel]) -> bool:
    return arm.state == "worse" or _has_alert(arm, alerted)


def _has_alert(arm: ArmInsight, alerted: Sequence[DegradedModel]) -> bool:
    return arm.model is not None and any(degraded.covers(arm) for degraded in alerted)


def _change(arm: ArmInsight, alerted: Sequence[DegradedModel]) -> str:
    """The change in points, and what it is worth."""
    delta = arm.best_delta
    points_ = "" if delta is None else f"{100 * delta:+.1f}"
    if _has_alert(arm, alerted):
        return f"{points_}, alert open".lstrip(", ")
    if arm.state == "not_enough_evidence" or delta is None:
        return "too few outcomes"
    return f"{points_}, {'not certain' if arm.state == 'no_certain_change' else arm.state}"
