"""The comparison report as a person reads it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from aftercall.durations import format_duration
from aftercall.vocabulary import EVERY_TASK
from flows.reports.insights import ArmInsight, DegradedModel, Insight, Route, Side
from flows.reports.insights_evidence import Noticed, Silence

NONE_WORSE = (
    "No model is worse for certain. (Looked at every hour for four weeks, this would name one that has not changed "
    "in at most 5 % of cases; alerts have a promise of their own.)"
)
ANSWERED_WELL = 0.9
"""Where a smaller share of the calls is answered, a range stands beside the rate."""
STATUS_STYLE = {"degraded": "red", "over_limit": "yellow", "exploring": "cyan", "pinned": "magenta"}


def render(insight: Insight, console: Console) -> None:
    """Print an insight: the verdict in a sentence, who got worse, every arm, and where traffic should go."""
    console.print(
        f"[bold]{escape(printable(insight.task_type))}[/] · last {format_duration(insight.lookback)} against the "
        f"{format_duration(insight.baseline)} before, up to {moment(insight.as_of)}"
    )
    console.print(headline(insight))
    for one in insight.degraded:
        console.print(Text("● ", "red") + Text(degraded_line(one)))
    if not insight.degraded:
        console.print(Text(NONE_WORSE, "green"))
    console.print(comparison(insight))
    console.print(evidence(insight))
    for line in (silence_line(insight.overall), power_line(insight.arms)):
        if line:
            console.print(line, markup=False)
    if insight.route is None:
        console.print("No recommendation has been issued yet.")
    else:
        console.print(route_table(insight.route))
        if insight.route.valid_until < insight.as_of:
            console.print(
                Text("This recommendation has expired: nothing has been heard of the task type since.", "yellow")
            )
        console.print(Text(insight.route.reason, "dim"))


def headline(insight: Insight) -> str:
    """The whole in one sentence."""
    before, after, overall = insight.overall.baseline, insight.overall.current, insight.overall
    if overall.delta is None or overall.delta_low is None or overall.delta_high is None:
        return "Nothing to compare: one of the two spans has no resolved calls."
    known = (
        f"Success rate {percent(before.rate)} -> {percent(after.rate)}: {points(overall.delta)} "
        f"({points(overall.delta_low)} to {points(overall.delta_high)}), "
        f"{after.resolved:,} of {after.calls:,} calls resolved."
    )
    final = overall.corrected
    if final is None or final.rate is None or final.delta is None or not after.pending:
        return known
    return (
        f"{known} Once all outcomes are in: {percent(final.rate)} ({interval(final.low, final.high)}), "
        f"{points(final.delta)} ({points(final.delta_low)} to {points(final.delta_high)})."
    )


def silence_line(overall: ArmInsight) -> str | None:
    """How far silence could move the rate; None where nearly everybody answers."""
    quiet = overall.silence
    if quiet is None or quiet.gamma_low is None or quiet.gamma_high is None or _answered(quiet) >= ANSWERED_WELL:
        return None
    return (
        f"Only {percent(_answered(quiet))} of the calls get a verdict. The rates are of those. Where failures are "
        f"reported {quiet.gamma:g} times as readily as successes, the rate of all calls is "
        f"{percent(quiet.gamma_high)}; where successes are, {percent(quiet.gamma_low)}. Whatever the silent would say, "
        f"it lies between {percent(quiet.low)} and {percent(quiet.high)}. A random sample with verdicts would tell."
    )


def power_line(arms: list[ArmInsight]) -> str | None:
    """How soon a drop would be noticed, where soonest and where latest; None without traffic."""
    timed = [(arm, arm.power) for arm in arms if arm.power is not None]
    if not timed:
        return None
    timed.sort(key=lambda pair: (pair[1].days is None, pair[1].days or 0.0))
    (first, soon), (last, late) = timed[0], timed[-1]
    drop = f"A drop of {100 * soon.drop:g} points"
    if soon.days is None:
        return f"{drop} would not be noticed within 8 weeks at this traffic: too few outcomes for so small a change."
    said = f"{drop} would be noticed within about {_days(soon)} at this traffic"
    if first is last:
        return f"{said}."
    said += f" on {_name(first)}, "
    return said + (f"not within {_days(late)}" if late.days is None else f"{_days(late)}") + f" on {_name(last)}."


def evidence(insight: Insight) -> Group:
    """What the figures rest on, by arm: answers, what silence could hide, and how soon a drop would be noticed."""
    table = _table(("answered", "finally", "uneven", "whatever", "a day", "noticed"))
    for arm in [*insight.arms, insight.overall]:
        quiet, soon = arm.silence, arm.power
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
        cells += ["", ""] if soon is None else [f"{soon.outcomes_per_day:,.0f}", _when(soon)]
        table.add_row(*cells, style="bold" if arm.model is None else None)
    caption = (
        "answered: calls with a verdict, in %; finally: the share that will have one. uneven: the rate of all calls if "
        "successes are answered up to twice as readily as failures, or half; whatever: whatever the silent would say. "
        "a day: outcomes. noticed: when a drop of 5 points would be, in half of all cases."
    )
    return Group("What they rest on", table, Text(caption, "dim"))


def _answered(quiet: Silence) -> float:
    return quiet.answered if quiet.answered_finally is None else quiet.answered_finally


def _name(arm: ArmInsight) -> str:
    return arm_name(arm.model or "", arm.config)


def _when(soon: Noticed) -> str:
    return "> 8 weeks" if soon.days is None else _days(soon)


def _days(soon: Noticed) -> str:
    """A time to notice as people say it: hours up to two days, else days."""
    if soon.days is None:
        return "8 weeks"
    if soon.days <= 2:
        return f"{max(round(24 * soon.days), 1)} h"
    return f"{soon.days:.0f} days"


def degraded_line(one: DegradedModel) -> str:
    """Who got worse, since when, by how much."""
    name = scope_name(one)
    if one.baseline is None or one.current is None:
        return f"{name}: {one.reason}"
    effect = ""
    if one.effect_low is not None and one.effect_high is not None:
        effect = f" ({points(one.effect_low)} to {points(one.effect_high)})"
    since = "" if one.since is None else f" since {moment(one.since)}"
    note = "; no alert is open" if one.alert_id is None else f"; {one.severity}"
    change = points(one.current - one.baseline)
    return f"{name}: {percent(one.baseline)} -> {percent(one.current)}, {change}{effect}{since}{note}"


def comparison(insight: Insight) -> Group:
    """Every arm, and all of them together; 80 columns wide where names are short."""
    corrected = any(arm.corrected is not None and arm.corrected.rate is not None for arm in insight.arms)
    columns = ["before", "n", "now", "95 %", "n", "open", "change", *(["final", "mature"] if corrected else [])]
    caption = "Rates in %. open: calls without a verdict yet."
    if corrected:
        caption += (
            " final: the rate once all outcomes are in, estimated; mature: the share of them that is in; change: to it."
        )
    table = _table(columns)
    for arm in insight.arms:
        style = "red" if any(one.covers(arm) for one in insight.degraded) else None
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
        known = arm.corrected
        cells += [_bare(known.rate), _bare(known.maturity)] if known is not None else ["", ""]
    return cells


def _change(arm: ArmInsight) -> str:
    final = None if arm.corrected is None else arm.corrected.delta
    delta = arm.delta if final is None else final
    return "-" if delta is None else f"{100 * delta:+.1f}"


def _interval_of(side: Side) -> str:
    return interval(side.low, side.high)


def arm_name(model: str, config: str | None) -> str:
    """`model`, or `model/config` where the config says anything; safe to print."""
    return printable(model if config in (None, "default") else f"{model}/{config}")


def scope_name(one: DegradedModel) -> str:
    """What got worse, in short: `arm_name` with "all models" where none is named, and whether all task types did."""
    everywhere = " over all task types" if one.task_type == EVERY_TASK else ""
    return arm_name("all models" if one.model is None else one.model, one.config) + everywhere


def printable(name: str) -> str:
    """A name as a terminal may be shown it: control characters would be obeyed."""
    return name if name.isprintable() else ascii(name)[1:-1]


def interval(low: float | None, high: float | None) -> str:
    """Two shares in percent, without the sign."""
    return "" if low is None or high is None else f"{100 * low:.1f}-{100 * high:.1f}"


def _bare(share: float | None) -> str:
    """`percent` without its sign."""
    return "-" if share is None else f"{100 * share:.1f}"


def percent(share: float | None) -> str:
    """A share in percent; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.1f} %"


def points(difference: float | None) -> str:
    """A difference of shares in points, with its sign; a dash where there is none."""
    return "-" if difference is None else f"{100 * difference:+.1f} points"


def moment(at: datetime) -> str:
    """A time to the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
