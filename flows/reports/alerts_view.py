"""Prints alerts: what changed, since when, what it costs, where it shows, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from aftercall.facets import IN_WORDS, in_words
from aftercall.printable import printable
from aftercall.times import parse_time, to_datetime
from aftercall.vocabulary import EVERY_TASK
from flows.reports.alerts import AlertRow, Alerts, covers
from flows.reports.indented import indented
from flows.reports.snapshot_reader import Route
from flows.reports.words import arm_name, counted, moment, percent, points, scope_name

_COLOURS: Final = {"critical": "red", "warning": "yellow", "info": "cyan"}
LEAST_SHOWN: Final = 0.005
"""Points of a part of a change from which it is shown."""
MOST_FACETS: Final = 2
"""Facets of calls whose mix is shown."""
_TELLING: Final = 0.3
"""The share of a change from which a single value is shown beside it."""


def show_alerts(found: Alerts, console: Console) -> None:
    """Print the result of `read_alerts`."""
    still = [alert for alert in found.alerts if alert["state"] != "closed"]
    console.print(first_line(still))
    for alert in still:
        show_alert(alert, console, found.routes.get(alert["task_type"]))
    over = found.alerts[len(still) :]
    if over:
        console.print(f"\n{counted(len(over), 'alert')} closed, the newest first:")
    for alert in over:
        _bullet(alert, alert_line(alert), console, colour="dim")


def show_alert(alert: AlertRow, console: Console, route: Route | None = None) -> None:
    """Print an open alert; `route`: where the calls of its task type should go."""
    _bullet(alert, f"{alert['severity']} · {alert_line(alert)}", console)
    explained = [where_line(alert), *mix_lines(alert["split"], alert["mixes"]), beside_line(alert), mark_line(alert)]
    details = [*explained, alert["caveat"], f"What to do: {advice(alert, route)}"]
    for line in filter(None, details):
        indented(printable(line), console)


def alert_line(alert: AlertRow) -> str:
    """One alert in a sentence: scope, change with interval and outcomes, since when, and when it was noticed."""
    over = "" if alert["closed_at"] is None else f", over since {moment(alert['closed_at'])}"
    noticed = f"; noticed {moment(alert['opened_at'])}{over}"
    if alert["metric"] != "success_rate":
        return f"{printable(alert['reason']).rstrip('.')}{noticed}"
    scope = scope_name(alert["task_type"], alert["model"], alert["config"])
    since = "" if alert["changed_at"] is None else f", since about {moment(alert['changed_at'])}"
    return f"{scope}{_change(alert)}{since}{_cost(alert)}{noticed}"


def where_line(alert: AlertRow) -> str | None:
    """The values that have most of the change, one of each dimension; None where none stands out."""
    shown: dict[str, dict[str, Any]] = {}
    for one in alert["slices"]:
        if one["share"] >= _TELLING:
            shown.setdefault(one["dimension"], one)
    parts = [
        f"{dimension.replace('_', ' ')} {printable(one['value'])} ({min(one['share'], 1.0):.0%} of it)"
        for dimension, one in shown.items()
    ]
    return f"Where it shows: {', '.join(parts)}." if parts else None


def mix_lines(split: Sequence[dict[str, Any]], mixes: Sequence[dict[str, Any]]) -> list[str]:
    """What a changed mix of traffic surely gives; nothing where it may be nothing, or is less than half a point."""
    parts, facets = _parts(split), _parts(mixes)[:MOST_FACETS]
    lines = [f"Changed mix of traffic: {'; '.join(parts)}."] if parts else []
    if facets:
        once = " (at most one of these: they may be one change)" if len(facets) + len(parts) > 1 else ""
        lines.append(f"Changed mix of calls{once}: {'; '.join(facets)}.")
    return lines


def _parts(split: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{points(one['points'])} ({points(one['low'])} to {points(one['high'])}) from {_more(one)}"
        for one in split
        if one["dimension"] != "within" and not one["low"] <= 0 <= one["high"] and abs(one["points"]) >= LEAST_SHOWN
    ]


def _more(part: dict[str, Any]) -> str:
    """The value that has most of a part of a change, and its shares of the outcomes."""
    grown = part["share_since"] >= part["share_before"]
    what = part["dimension"].replace("_", " ")
    if part["dimension"] in IN_WORDS:
        name = in_words(part["dimension"], printable(part["value"]))
    else:
        name = f"without {what}" if part["value"] is None else f"of {what} {printable(part['value'])}"
    shares = f"{percent(part['share_before'])} -> {percent(part['share_since'])}"
    return f"{'more' if grown else 'fewer'} {name} ({shares} of the outcomes)"


def beside_line(alert: AlertRow) -> str | None:
    """What else changed in a success rate's scope at that time; the sentence of other alerts has it."""
    texts = [one["text"] + (" (over)" if one["over"] else "") for one in alert["other_alarms"]]
    return f"At the same time: {'; '.join(texts)}." if texts and alert["metric"] == "success_rate" else None


def mark_line(alert: AlertRow) -> str | None:
    """The mark nearest before the change; None where none is known, and where the alert's own sentence names it."""
    mark = alert.get("mark")
    if mark is None or alert["metric"] != "success_rate":
        return None
    at = to_datetime(parse_time(mark["occurred_at"]))
    return f"Nearest mark: {printable(mark['text'] or mark['mark_id'])}, {moment(at)}."


def advice(alert: AlertRow, route: Route | None = None) -> str:
    """What to do about an alert, in a sentence."""
    task = "all task types" if alert["task_type"] == EVERY_TASK else printable(alert["task_type"])
    metric, _, source = alert["metric"].partition(":")
    fell = alert["direction"] == "down"
    match metric:
        case "success_rate" if source:
            return f"read what {printable(source)} has said since then: other sources may still decide the verdicts."
        case "success_rate" if fell:
            return _rerouted(alert, route) or _look_for_a_cause(alert)
        case "success_rate":
            return "nothing, unless those who judge the answers have changed."
        case "calls" if fell:
            return f"check what sends the calls of {task}, and the way they take to aftercall."
        case "calls":
            return f"check who calls {task}: a launch, a loop, or retries."
        case "responses":
            return f"check whether {printable(source)} still reports its outcomes, and under the ids of the calls."
        case "score":
            return "have people judge some calls from before and since: the answers have changed, or the judge."
        case "latency_ms" | "cost_usd" | "tokens":
            return f"compare some calls from before and since{_when(alert)}: the provider, the prompt or the inputs."
        case _:
            return "as it says; `aftercall check` prints the settings in force."


def _rerouted(alert: AlertRow, route: Route | None) -> str | None:
    """Where to send the calls instead; None where the recommendation has no arm outside the scope."""
    others = [] if route is None else [arm for arm in route.arms if not covers(alert, arm["model"], arm["config"])]
    if route is None or not others or alert["model"] is None:
        return None
    best = max(others, key=lambda arm: arm["weight"])
    left = sum(arm["weight"] for arm in route.arms if covers(alert, arm["model"], arm["config"]))
    return (
        f"send {percent(best['weight'])} of the calls to {arm_name(best['model'], best['config'])} and "
        f"{percent(left)} to {arm_name(alert['model'], alert['config'])}, as the recommendation has it, and see what "
        f"changed{_when(alert)}."
    )


def _look_for_a_cause(alert: AlertRow) -> str:
    return f"see what changed{_when(alert)}: a release, a prompt, documents, tools, or the provider."


def _when(alert: AlertRow) -> str:
    return "" if alert["changed_at"] is None else f" about {moment(alert['changed_at'])}"


def _change(alert: AlertRow) -> str:
    if alert["current"] is None or alert["baseline"] is None:
        return ""
    change = f": {percent(alert['baseline'])} -> {percent(alert['current'])}"
    change += f", {points(alert['current'] - alert['baseline'])}"
    # Alerts of earlier versions do not say how many outcomes they rest on.
    outcomes = alert["evidence"].get("outcomes")
    known = [] if outcomes is None else [counted(round(outcomes), "outcome")]
    if alert["effect_low"] is not None and alert["effect_high"] is not None:
        known.insert(0, f"{100 * alert['effect_low']:+.1f} to {100 * alert['effect_high']:+.1f}")
    return f"{change} ({'; '.join(known)})" if known else change


def _cost(alert: AlertRow) -> str:
    per_day = alert.get("failures_per_day") or 0.0
    return f", about {per_day:,.0f} more failures a day" if per_day >= 1 else ""


def _bullet(alert: AlertRow, line: str, console: Console, colour: str | None = None) -> None:
    console.print(Text("● ", colour or _COLOURS[alert["severity"]]) + Text(line))


def first_line(alerts: Sequence[AlertRow], about: str = "") -> str:
    """How many alerts are open, on something or at all.

    >>> first_line([], " on refund"), first_line([{}, {}])
    ('No alert on refund is open.', '2 alerts are open, the costliest first:')
    """
    if len(alerts) > 1:
        return f"{counted(len(alerts), 'alert')}{about} are open, the costliest first:"
    return f"1 alert{about} is open:" if alerts else f"No alert{about} is open."
