"""The comparison report as a person reads it."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aftercall.durations import format_duration
from flows.insights import ArmInsight, DegradedModel, Insight, Route, Side

STATUS_STYLE = {"degraded": "red", "over_limit": "yellow", "exploring": "cyan", "pinned": "magenta"}


def render(insight: Insight, console: Console) -> None:
    """Print an insight: the verdict in a sentence, who got worse, every arm, and where traffic should go."""
    console.print(
        f"[bold]{insight.task_type}[/] · last {format_duration(insight.lookback)} against the "
        f"{format_duration(insight.baseline)} before, up to {moment(insight.as_of)}"
    )
    console.print(headline(insight))
    for one in insight.degraded:
        console.print(Text("● ", "red") + Text(degraded_line(one)))
    console.print(comparison(insight))
    if insight.route is None:
        console.print("No recommendation has been issued yet.")
    else:
        console.print(route_table(insight.route))
        console.print(Text(insight.route.reason, "dim"))


def headline(insight: Insight) -> str:
    """The whole in one sentence."""
    before, after, overall = insight.overall.baseline, insight.overall.current, insight.overall
    if overall.delta is None or overall.delta_low is None or overall.delta_high is None:
        return "Nothing to compare: one of the two spans has no resolved calls."
    return (
        f"Success rate {percent(before.rate)} -> {percent(after.rate)}: {points(overall.delta)} "
        f"({points(overall.delta_low)} to {points(overall.delta_high)}), "
        f"{after.resolved:,} of {after.calls:,} calls resolved."
    )


def degraded_line(one: DegradedModel) -> str:
    """Who got worse, since when, by how much."""
    name = arm_name(one.model, one.config)
    if one.baseline is None or one.current is None:
        return f"{name}: {one.reason}"
    effect = ""
    if one.effect_low is not None and one.effect_high is not None:
        effect = f" ({points(one.effect_low)} to {points(one.effect_high)})"
    since = "" if one.since is None else f" since {moment(one.since)}"
    note = "; no alert is open" if one.alert_id is None else f"; {one.severity}"
    change = points(one.current - one.baseline)
    return f"{name}: {percent(one.baseline)} -> {percent(one.current)}, {change}{effect}{since}{note}"


def comparison(insight: Insight) -> Table:
    """Every arm, and all of them together."""
    table = Table(title="Success rate by model and config", title_justify="left", show_footer=False)
    table.add_column("model")
    table.add_column("config")
    corrected = any(arm.corrected is not None and arm.corrected.rate is not None for arm in insight.arms)
    columns = ["baseline", "n", "current", "95 % interval", "n", "pending", "delta"]
    for name in [*columns, *(["delay-corrected", "mature"] if corrected else [])]:
        table.add_column(name, justify="right")
    lost = {(one.model, one.config) for one in insight.degraded} | {
        (one.model, arm.config) for one in insight.degraded for arm in insight.arms if one.config is None
    }
    for arm in insight.arms:
        style = "red" if (arm.model, arm.config) in lost else None
        table.add_row(*_cells(arm, corrected=corrected), style=style)
    table.add_section()
    table.add_row(*_cells(insight.overall, corrected=corrected), style="bold")
    return table


def route_table(route: Route) -> Table:
    """Where traffic should go."""
    title = f"Where calls should go (issued {moment(route.issued_at)}, valid until {moment(route.valid_until)})"
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    table.add_column("config")
    for name in ("weight", "P(best)", "rate", "95 % interval", "n"):
        table.add_column(name, justify="right")
    table.add_column("status")
    for arm in route.arms:
        status = Text(arm["status"], STATUS_STYLE.get(arm["status"], "green"))
        table.add_row(
            arm["model"],
            arm["config"],
            percent(arm["weight"]),
            percent(arm["p_best"]),
            percent(arm["rate"]),
            interval(arm["rate_low"], arm["rate_high"]),
            f"{arm['n']:,}",
            status,
        )
    return table


def _cells(arm: ArmInsight, *, corrected: bool) -> list[str]:
    cells = [
        "all" if arm.model is None else arm.model,
        arm.config or "",
        percent(arm.baseline.rate),
        f"{arm.baseline.resolved:,}",
        percent(arm.current.rate),
        _interval_of(arm.current),
        f"{arm.current.resolved:,}",
        f"{arm.current.pending:,}",
        points(arm.delta),
    ]
    if corrected:
        known = arm.corrected
        cells += [percent(known.rate), percent(known.maturity)] if known is not None else ["", ""]
    return cells


def _interval_of(side: Side) -> str:
    return interval(side.low, side.high)


def arm_name(model: str, config: str | None) -> str:
    """`model`, or `model/config` where the config says anything."""
    return model if config in (None, "default") else f"{model}/{config}"


def interval(low: float | None, high: float | None) -> str:
    """Two shares in percent."""
    return "" if low is None or high is None else f"{100 * low:.1f} - {100 * high:.1f}"


def percent(share: float | None) -> str:
    """A share in percent; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.1f} %"


def points(difference: float | None) -> str:
    """A difference of shares in points, with its sign; a dash where there is none."""
    return "-" if difference is None else f"{100 * difference:+.1f} points"


def moment(at: datetime) -> str:
    """A time to the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
