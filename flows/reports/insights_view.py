"""Prints the comparison report of `insights` as text and tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from aftercall.durations import format_duration
from aftercall.printable import printable
from aftercall.vocabulary import EVERY_TASK
from flows.reports.insights import ArmInsight, DegradedModel, Insight, Route, Side
from flows.reports.insights_evidence import DetectionDelay, Silence

NONE_WORSE = (
    "No model is certainly worse. (Even if you look every hour for four weeks, a model that has not changed is listed "
    "here with a probability of at most 5 %; alerts have a separate promise.)"
)
OF_SOURCE = (
    "All rates are of what {} says, whatever the verdicts rest on; a call of which it says nothing is open. Alerts and "
    "recommendations rest on verdicts, and are left out."
)
ANSWERED_WELL = 0.9
"""If a smaller share of the calls is answered, a range is printed beside the rate."""
STATUS_STYLE = {"degraded": "red", "over_limit": "yellow", "exploring": "cyan", "pinned": "magenta"}


def render(insight: Insight, console: Console) -> None:
    """Print an insight: a summary sentence, what got worse, every arm, and where traffic should go."""
    names = [name for name in (insight.task_type, insight.source) if name is not None]
    console.print(
        f"{' · '.join(f'[bold]{escape(printable(name))}[/]' for name in names)} · "
        f"last {format_duration(insight.lookback)} against the "
        f"{format_duration(insight.baseline)} before, up to {moment(insight.as_of)}"
    )
    console.print(headline(insight))
    for degraded in insight.degraded:
        console.print(Text("● ", "red") + Text(degraded_line(degraded)))
    if not insight.degraded:
        console.print(Text(NONE_WORSE, "green"))
    console.print(comparison(insight))
    console.print(evidence(insight))
    for line in (silence_line(insight.overall, insight.source), power_line(insight.arms)):
        if line:
            console.print(line, markup=False)
    if insight.source is not None:
        console.print(Text(OF_SOURCE.format(printable(insight.source)), "dim"))
    elif insight.route is None:
        console.print("No recommendation has been issued yet.")
    else:
        console.print(route_table(insight.route))
        if insight.route.valid_until < insight.as_of:
            console.print(Text("This recommendation has expired, and no newer one has been issued.", "yellow"))
        console.print(Text(insight.route.reason, "dim"))


def headline(insight: Insight) -> str:
    """The overall change of the success rate, in one sentence."""
    before, after, overall = insight.overall.baseline, insight.overall.current, insight.overall
    if overall.delta is None or overall.delta_low is None or overall.delta_high is None:
        return "Nothing to compare: one of the two spans has no resolved calls."
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


def silence_line(overall: ArmInsight, source: str | None = None) -> str | None:
    """How far calls without a verdict, or of which a source says nothing, could move the rate; None if they are few."""
    quiet = overall.silence
    if quiet is None or quiet.gamma_low is None or quiet.gamma_high is None or _answered(quiet) >= ANSWERED_WELL:
        return None
    judged = "get a verdict" if source is None else f"are judged by {printable(source)}"
    return (
        f"Only {percent(_answered(quiet))} of the calls {judged}, and the rates are of those. If failures are "
        f"reported {quiet.gamma:g} times as readily as successes, the rate of all calls is "
        f"{percent(quiet.gamma_high)}; if successes are, {percent(quiet.gamma_low)}. In any case it lies between "
        f"{percent(quiet.low)} and {percent(quiet.high)}. A random sample with verdicts would narrow this down."
    )


def power_line(arms: list[ArmInsight]) -> str | None:
    """The shortest and the longest detection delay of the arms; None without traffic."""
    timed = [(arm, arm.power) for arm in arms if arm.power is not None]
    if not timed:
        return None
    timed.sort(key=lambda pair: (pair[1].days is None, pair[1].days or 0.0))
    (first, shortest), (last, longest) = timed[0], timed[-1]
    drop = f"A drop of {100 * shortest.drop:g} points"
    if shortest.days is None:
        return f"{drop} would not be noticed within 8 weeks at this traffic: too few outcomes for so small a change."
    line = f"{drop} would be noticed within about {_days(shortest)} at this traffic"
    if first is last:
        return f"{line}."
    line += f" on {_name(first)}, "
    line += f"not within {_days(longest)}" if longest.days is None else _days(longest)
    return f"{line} on {_name(last)}."


def evidence(insight: Insight) -> Group:
    """The evidence behind the rates, by arm: answered calls, what silence could hide, and the detection delay."""
    table = _table(("answered", "finally", "uneven", "bounds", "a day", "noticed"))
    for arm in [*insight.arms, insight.overall]:
        quiet, delay = arm.silence, arm.power
        cells: list[str | Text] = [Text("all" if arm.model is None else _name(arm))]
        if quiet is None:
            cells += ["-", "-", "", ""]
        else:
            cells += [
                _bare(quiet.answered),
                _bare(quiet.answered_finally),
                interval(quiet.gamma_low, quiet.gamma_high),
                interval(quiet.low, quiet.high),
            ]
        cells += ["", ""] if delay is None else [f"{delay.outcomes_per_day:,.0f}", _when(delay)]
        table.add_row(*cells, style="bold" if arm.model is None else None)
    caption = (
        "answered: calls with a verdict, in %; finally: the share that will have one. uneven: the rate of all calls if "
        "successes are answered up to twice as readily as failures, or half; bounds: those of the rate of all calls, "
        "whatever the other verdicts would be. a day: outcomes. noticed: median time to notice a drop of 5 points."
    )
    return Group("Evidence behind these rates", table, Text(caption, "dim"))


def _answered(quiet: Silence) -> float:
    return quiet.answered if quiet.answered_finally is None else quiet.answered_finally


def _name(arm: ArmInsight) -> str:
    return arm_name(arm.model or "", arm.config)


def _when(delay: DetectionDelay) -> str:
    return "> 8 weeks" if delay.days is None else _days(delay)


def _days(delay: DetectionDelay) -> str:
    """A detection delay in readable units: hours up to two days, otherwise days."""
    if delay.days is None:
        return "8 weeks"
    if delay.days <= 2:
        return f"{max(round(24 * delay.days), 1)} h"
    return f"{delay.days:.0f} days"


def degraded_line(degraded: DegradedModel) -> str:
    """What got worse, since when, by how much."""
    name = scope_name(degraded)
    if degraded.baseline is None or degraded.current is None:
        return f"{name}: {degraded.reason}"
    effect = ""
    if degraded.effect_low is not None and degraded.effect_high is not None:
        effect = f" ({points(degraded.effect_low)} to {points(degraded.effect_high)})"
    since = "" if degraded.since is None else f" since {moment(degraded.since)}"
    note = "; no alert is open" if degraded.alert_id is None else f"; {degraded.severity}"
    change = points(degraded.current - degraded.baseline)
    return f"{name}: {percent(degraded.baseline)} -> {percent(degraded.current)}, {change}{effect}{since}{note}"


def comparison(insight: Insight) -> Group:
    """Every arm, then the sum of all; 80 columns wide if names are short."""
    corrected = any(arm.corrected is not None and arm.corrected.rate is not None for arm in insight.arms)
    columns = ["before", "n", "now", "95 %", "n", "open", "change", *(["final", "mature"] if corrected else [])]
    caption = "Rates in %. open: calls still without a verdict."
    if corrected:
        caption += (
            " final: the estimated rate once all outcomes are in; mature: the share of them that are in; change: from "
            "before to final."
        )
    table = _table(columns)
    for arm in insight.arms:
        style = "red" if any(degraded.covers(arm) for degraded in insight.degraded) else None
        table.add_row(*_cells(arm, corrected=corrected), style=style)
    table.add_section()
    table.add_row(*_cells(insight.overall, corrected=corrected), style="bold")
    return Group("Success rate by model and config", table, Text(caption, "dim"))


def route_table(route: Route) -> Group:
    """Where traffic should go."""
    title = f"Where calls should go from {moment(route.issued_at)} until {moment(route.valid_until)}"
    table = _table(("weight", "P(best)", "rate", "95 %", "n"))
    table.add_column("status", no_wrap=True)
    for arm in route.arms:
        status = Text(arm["status"], STATUS_STYLE.get(arm["status"], "green"))
        table.add_row(
            Text(arm_name(arm["model"], arm["config"])),
            _bare(arm["weight"]),
            _bare(arm["p_best"]),
            _bare(arm["rate"]),
            interval(arm["rate_low"], arm["rate_high"]),
            f"{arm['n']:,}",
            status,
        )
    return Group(title, table, Text("All but n in %.", "dim"))


def _table(columns: Iterable[str]) -> Table:
    """A column of names, which may wrap, and columns of figures, which may not."""
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=0)
    table.add_column("model/config", overflow="fold", min_width=12)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _cells(arm: ArmInsight, *, corrected: bool) -> list[str | Text]:
    cells: list[str | Text] = [
        Text("all" if arm.model is None else arm_name(arm.model, arm.config)),
        _bare(arm.baseline.rate),
        f"{arm.baseline.resolved:,}",
        _bare(arm.current.rate),
        _interval_of(arm.current),
        f"{arm.current.resolved:,}",
        f"{arm.current.pending:,}",
        _change(arm),
    ]
    if corrected:
        final = arm.corrected
        cells += [_bare(final.rate), _bare(final.maturity)] if final is not None else ["", ""]
    return cells


def _change(arm: ArmInsight) -> str:
    final = None if arm.corrected is None else arm.corrected.delta
    delta = arm.delta if final is None else final
    return "-" if delta is None else f"{100 * delta:+.1f}"


def _interval_of(side: Side) -> str:
    return interval(side.low, side.high)


def arm_name(model: str, config: str | None) -> str:
    """`model`, or `model/config` unless the config is the default; safe to print."""
    return printable(model if config in (None, "default") else f"{model}/{config}")


def scope_name(degraded: DegradedModel) -> str:
    """The scope, in short: `arm_name`, with "all models" if no model is named, and " over all task types" if so."""
    everywhere = " over all task types" if degraded.task_type == EVERY_TASK else ""
    return arm_name("all models" if degraded.model is None else degraded.model, degraded.config) + everywhere


def interval(low: float | None, high: float | None) -> str:
    """Two shares in percent, without the sign."""
    return "" if low is None or high is None else f"{100 * low:.1f}-{100 * high:.1f}"


def _bare(share: float | None) -> str:
    """`percent` without its sign."""
    return "-" if share is None else f"{100 * share:.1f}"


def percent(share: float | None) -> str:
    """A share in percent; a dash for None."""
    return "-" if share is None else f"{100 * share:.1f} %"


def points(difference: float | None) -> str:
    """A difference of shares in points, with its sign; a dash for None."""
    return "-" if difference is None else f"{100 * difference:+.1f} points"


def moment(at: datetime) -> str:
    """A time to the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
