"""Prints the report of `aftercall demo`: what got worse, the truth, what to do."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
from rich.console import Console
from rich.text import Text

from aftercall.times import parse_time, to_datetime
from aftercall.vocabulary import EVERY_TASK
from flows.reports.alerts import of_success, parsed
from flows.reports.alerts_view import alert_line
from flows.reports.route_view import route_table
from flows.reports.snapshot_reader import Route, newest_route, open_snapshot, rows
from flows.reports.words import arm_name, moment, percent, points
from models.stats.intervals import Z_99, newcombe

_SNAPSHOT = "outcomes.duckdb"
NamedRow = dict[str, Any]


def report(out: Path, console: Console, truth: Path | None = None) -> None:
    """Print the report on a finished run.

    Args:
        out: the output folder of the run; only read.
        console: where to print.
        truth: `truth.json` of the simulation; None: print no comparison with it.

    Raises:
        InsightError: `out` holds no snapshot.
    """
    snapshot = out / _SNAPSHOT
    with open_snapshot(snapshot) as base:
        query = "SELECT * FROM alerts ORDER BY opened_at, task_type, model, config NULLS LAST"
        alerts = list(map(parsed, rows(base, query)))
        worse = [alert for alert in alerts if of_success(alert, "down") and not _part_of_another(alert)]
        incident = _incident(truth)
        console.rule("What got worse")
        if not worse:
            console.print("No model got worse.")
        for alert in worse:
            console.print(Text("● ", "red") + Text(alert_line(alert)))
            if (effect := effect_so_far(base, alert)) is not None:
                console.print(Text(f"  All outcomes known by now: {effect_line(effect)}"))
        _others(alerts, worse, console)
        if truth is not None:
            console.rule("Against the truth, which the pipeline did not know")
            for line in against_truth(base, worse, incident):
                console.print(Text(line))
        task = _task(base, worse, incident)
        if task is not None:
            console.rule(Text(f"Where the calls of {task} should go now"))
            _routing(base, task, worse, console)
        console.rule("All accounted for")
        console.print(Text(_accounts(base)))
    _invitation(snapshot, task, console)


class EffectSoFar(NamedTuple):
    """Rates and resolved calls of the week before a change and of the time since, and the 99 % interval."""

    before: float
    n_before: int
    since: float
    n_since: int
    low: float
    high: float


def effect_so_far(base: duckdb.DuckDBPyConnection, alert: NamedRow) -> EffectSoFar | None:
    """The effect by all outcomes known now; the alert used only the first ones, which exaggerate the effect.

    The hour of the change is left out. None if either side has no resolved calls, or the change has no estimated time.
    """
    if alert["changed_at"] is None:
        return None
    hour = alert["changed_at"].replace(tzinfo=None, minute=0, second=0, microsecond=0)
    query = """
        SELECT coalesce(sum(successes) FILTER (window_start < ?), 0)::BIGINT AS s0,
               coalesce(sum(resolved) FILTER (window_start < ?), 0)::BIGINT AS n0,
               coalesce(sum(successes) FILTER (window_start > ?), 0)::BIGINT AS s1,
               coalesce(sum(resolved) FILTER (window_start > ?), 0)::BIGINT AS n1
        FROM rates WHERE grain = '1h' AND task_type = coalesce(?, task_type) AND model = coalesce(?, model)
          AND config = coalesce(?, config) AND window_start >= ?
    """
    task = None if alert["task_type"] == EVERY_TASK else alert["task_type"]
    group = [task, alert["model"], alert["config"]]
    (n,) = rows(base, query, [hour, hour, hour, hour, *group, hour - timedelta(days=7)])
    if not n["n0"] or not n["n1"]:
        return None
    low, high = newcombe(n["s0"], n["n0"], n["s1"], n["n1"], Z_99)
    return EffectSoFar(n["s0"] / n["n0"], n["n0"], n["s1"] / n["n1"], n["n1"], float(low), float(high))


def effect_line(effect: EffectSoFar) -> str:
    """The rates before and since, and their difference with its interval."""
    return (
        f"{percent(effect.before)} of {effect.n_before:,} before, {percent(effect.since)} of {effect.n_since:,} since, "
        f"{points(effect.since - effect.before)} ({points(effect.low)} to {points(effect.high)})"
    )


def against_truth(base: duckdb.DuckDBPyConnection, worse: list[NamedRow], incident: NamedRow | None) -> list[str]:
    """How well the hidden incident was detected, and how many false alarms there are."""
    if incident is None:
        return [f"There was no incident; {len(worse)} were reported."]
    changed_at = to_datetime(parse_time(incident["changed_at"]))
    fall = f"{100 * incident['drop']:.1f} points"
    rates = f"{percent(incident['rate_before'])} -> {percent(incident['rate_after'])}"
    lines = [f"Truth: {incident['task_type']} · {incident['model']} fell by {fall} ({rates}) at {moment(changed_at)}."]
    hits = [
        alert
        for alert in worse
        if alert["task_type"] in {EVERY_TASK, incident["task_type"]}
        and alert["model"] == incident["model"]
        and alert["opened_at"] >= changed_at
    ]
    if hits:
        lines += _found(hits[0], incident, changed_at)
        if (effect := effect_so_far(base, hits[0])) is not None:
            drop = effect.before - effect.since
            lines.append(f"All outcomes known by now: a drop of {_judged(drop, -effect.high, -effect.low, incident)}.")
    else:
        lines.append("Not found: no alert on this model was opened after the change.")
    # An alert on all models of the task type, or on all task types, is the same incident with a wider scope.
    tasks = {EVERY_TASK, incident["task_type"]}
    wider = [alert for alert in worse if alert["model"] is None and alert["task_type"] in tasks]
    false = [alert for alert in worse if alert not in hits and alert not in wider]
    lines.append("No false alarm." if not false else f"False alarms: {len(false)}.")
    return lines


def _found(alert: NamedRow, incident: NamedRow, changed_at: datetime) -> list[str]:
    lines = [f"Found {_hours(alert['opened_at'] - changed_at)} after it happened."]
    if alert["changed_at"] is not None:
        off = alert["changed_at"] - changed_at
        side = "late" if off >= timedelta(0) else "early"
        lines.append(f"The estimated moment is {_hours(abs(off))} too {side}.")
    if alert["current"] is not None and alert["baseline"] is not None:
        estimate = f"When it was noticed: a drop of {100 * (alert['baseline'] - alert['current']):.1f} points"
        if alert["effect_low"] is not None and alert["effect_high"] is not None:
            drop = alert["baseline"] - alert["current"]
            judged = _judged(drop, -alert["effect_high"], -alert["effect_low"], incident)
            estimate = f"When it was noticed: a drop of {judged}"
        lines.append(estimate + ".")
    return lines


def _judged(drop: float, low: float, high: float, incident: NamedRow) -> str:
    where = "within" if low <= incident["drop"] <= high else "outside"
    return f"{100 * drop:.1f} points, interval {100 * low:.1f} to {100 * high:.1f}: the true drop lies {where}"


def _part_of_another(alert: NamedRow) -> bool:
    """Whether the alert was closed because a later alert with a wider scope covers the same change."""
    return "part_of" in alert["evidence"]


def _about(alert: NamedRow) -> str:
    """The subject of an alert that is only counted in the report, in words."""
    if _part_of_another(alert):
        return "that turned out to be part of a wider change"
    if of_success(alert, "up"):
        return "on improvements"
    if alert["kind"] in {"shift", "quantile"}:
        return "on latency, cost, tokens or scores"
    if alert["kind"] == "volume":
        return "on traffic or on sources of outcomes"
    return "on the pipeline itself"


def _others(alerts: list[NamedRow], worse: list[NamedRow], console: Console) -> None:
    """Print how many alerts there are besides `worse`, by subject."""
    counts = Counter(_about(alert) for alert in alerts if alert not in worse)
    if counts:
        listed = ", ".join(f"{count} {subject}" for subject, count in sorted(counts.items()))
        console.print(Text(f"Other alerts: {listed}.", "dim"))


def _incident(truth: Path | None) -> NamedRow | None:
    if truth is None:
        return None
    incident: NamedRow | None = json.loads(truth.read_text(encoding="utf-8")).get("incident")
    return incident


def _task(base: duckdb.DuckDBPyConnection, worse: list[NamedRow], incident: NamedRow | None) -> str | None:
    if incident is not None:
        task: str = incident["task_type"]
        return task
    if worse:
        first: str = worse[0]["task_type"]
        return first
    busiest = rows(base, "SELECT task_type FROM rates GROUP BY task_type ORDER BY sum(calls) DESC, task_type LIMIT 1")
    return busiest[0]["task_type"] if busiest else None


def _routing(base: duckdb.DuckDBPyConnection, task: str, worse: list[NamedRow], console: Console) -> None:
    route = newest_route(base, task)
    if route is None:
        console.print("No recommendation has been issued.")
        return
    console.print(route_table(route, console.width))
    console.print(Text(route.reason, "dim"))
    for alert in worse:
        if alert["task_type"] != task or alert["model"] is None:
            continue
        # Routing acts on a change before it is worth an alert: what counts is what was recommended until then.
        changed_at = alert["changed_at"] or alert["opened_at"]
        before = newest_route(base, task, changed_at.replace(tzinfo=None) - timedelta(minutes=1))
        if before is not None:
            name = arm_name(alert["model"], alert["config"])
            was, now = _weight(before, alert), _weight(route, alert)
            console.print(Text(f"{name}: {percent(was)} of the calls before it changed, {percent(now)} now."))


def _weight(route: Route, alert: NamedRow) -> float:
    """The summed weight of the arms in the scope of an alert."""
    arms = [arm for arm in route.arms if arm["model"] == alert["model"] and alert["config"] in (None, arm["config"])]
    return float(sum(arm["weight"] for arm in arms))


def _accounts(base: duckdb.DuckDBPyConnection) -> str:
    pipeline = rows(base, "SELECT * FROM pipeline")
    if not pipeline:
        return "The snapshot holds no counts."
    n = pipeline[0]
    # An earlier version counted none of these; where there are none, they are left out.
    completed, attempts, marks = (n.get(name) or 0 for name in ("completed", "attempts", "marks"))
    parts = n["calls"] + completed + n["outcomes"] + marks + n["duplicates"] + n["waiting"] + n["dead_letters"]
    verdicts = n["pending"] + n["successes"] + n["failures"] + n["expired"]
    return (
        f"{n['records']:,} records {'=' if n['records'] == parts else '!='} {n['calls']:,} calls + "
        f"{f'{completed:,} completed + ' if completed else ''}{n['outcomes']:,} outcomes + "
        f"{f'{marks:,} marks + ' if marks else ''}"
        f"{n['duplicates']:,} duplicates + {n['waiting']:,} waiting + {n['dead_letters']:,} dead letters\n"
        f"{n['calls']:,} calls {f'+ {attempts:,} attempts ' if attempts else ''}"
        f"{'=' if n['calls'] + attempts == verdicts else '!='} {n['pending']:,} pending + "
        f"{n['successes']:,} successes + {n['failures']:,} failures + {n['expired']:,} expired"
    )


def _invitation(snapshot: Path, task: str | None, console: Console) -> None:
    console.rule("Go on from here")
    # Soft wrapping keeps the commands whole, so that they can be copied.
    console.print(Text(f"Snapshot: {snapshot}"), soft_wrap=True)
    if task is not None:
        console.print(Text(f"  aftercall insights {task} --snapshot {snapshot}"), soft_wrap=True)
        query = (
            "SELECT model, config, window_start::DATE AS day, successes, resolved, round(rate, 3) AS rate "
            f"FROM rates WHERE grain = '1d' AND task_type = '{task}' ORDER BY model, config, day"
        )
        console.print(Text(f"  {query}"), soft_wrap=True)


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):.1f} h"
