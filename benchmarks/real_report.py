"""Writes the lessons of `make check-real` into the generated block of docs/results.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from pathlib import Path
from typing import Any

from benchmarks.real_changes import WIDTHS
from benchmarks.report import renew_section
from models.drift import DriftSettings

_SAME = """Each set was replayed with a horizon that fits and with a short one. Every call's verdict, source, score,
time and revisions, every count of table `rates` and every counter equals what polars computes from the files alone.
The columns `success` to `pending` are calls, `accepted` to `waiting` outcomes."""
_ALERTS = """One cause has one alert; the columns say how wide it was when it opened. Of these sets only llmdrift labels
which shifts are real. The models of openhands_index came one after another, so the rates of its tasks really did move;
its times are invented, as are those of llmdrift."""
_THRESHOLD = DriftSettings().threshold
_EVIDENCE = f"""A change counts as found where an alert covers it, has its direction and dates it within half an hour (a
day where calls are 10 minutes apart). `evidence` is what a test that knew both rates would have gathered in the calls
after the change, in nats. The default promise asks for about {log(_THRESHOLD):.0f} of them within a week and for
{log(_THRESHOLD * 10_080 / 5):.0f} within five minutes; and as the rate before must be learned from as many calls before
the change, a part of them is lost."""
_PERMUTED = """The calls of each task type and model, each with its outcome, in random order over the times of that
model: nothing changes in such a stream, so an alert with a promise is a false one. The promise allows `allowed` of them
in all, for the weeks in which the groups (task type and model, and task type) are called. Alerts without a promise are
counted apart. Configs are hidden, as behind an alias, or named by place: the second half of the calls has another one,
which is no better or worse, and is tested as a new config is. Alerts on traffic are left out, as it does end when the
rows of a task type are used up. `found` are the labelled changes in the stream as recorded, by the same code: a
detector without alarms would find none."""

Lesson = dict[str, Any]


def markdown(lessons: Sequence[Lesson], permuted: Sequence[Lesson]) -> str:
    """The block: the sets, the results, the delays, the labelled changes, and the alerts on permutations."""
    parts = [
        _SAME,
        _table(
            (
                "set",
                "replay",
                "horizon",
                "calls",
                "outcomes",
                "success",
                "failure",
                "expired",
                "pending",
                "accepted",
                "late",
                "orphan",
                "waiting",
            ),
            (_counts_row(lesson) for lesson in lessons),
        ),
        "## The sets",
        "\n".join(f"- **{lesson['set']}**: {lesson['what']}." for lesson in lessons if lesson["replay"] == "fitting"),
        "Silence counts as success in aider_telemetry; in aidev_pop_dev a merge or a close outranks reviews.",
        "## Delays of outcomes, and revisions",
        _table(
            ("set", "outcome", "n", "10 %", "median", "90 %", "99 %", "max"),
            (row for lesson in _fitting(lessons) for row in _delay_rows(lesson)),
        ),
        _table(
            ("set", "replay", "calls with several statements", "calls revised", "revised more than once"),
            (_revision_row(lesson) for lesson in lessons),
        ),
        "## Alerts on success rates",
        _ALERTS,
        _table(("set", "replay", "groups", *WIDTHS), (_alert_row(lesson) for lesson in lessons)),
        "## The ten labelled changes",
        _EVIDENCE,
    ]
    for lesson in lessons:
        if lesson["changes"] is not None and lesson["replay"] == "fitting":
            parts += _changes(f"{lesson['set']}, as replayed", lesson["changes"])
    for lesson in permuted:
        if lesson["pace_s"] > permuted[0]["pace_s"]:
            name = "llmdrift" if lesson["named"] else "llmdrift_hidden"
            parts += _changes(f"{name}, a call every {_span(lesson['pace_s'])}", lesson["changes"])
    if permuted:
        parts += ["## Permutations of llmdrift", _PERMUTED, *_permutations(permuted)]
    return "\n\n".join(parts) + "\n"


def written(lessons: Sequence[Lesson], permuted: Sequence[Lesson]) -> Path:
    """Renew the section. Returns the document."""
    return renew_section("check-real", markdown(lessons, permuted))


def _fitting(lessons: Sequence[Lesson]) -> Iterable[Lesson]:
    # Without the hidden copies, which have the same outcomes.
    return (lesson for lesson in lessons if lesson["replay"] == "fitting" and not lesson["set"].endswith("_hidden"))


def _counts_row(lesson: Lesson) -> tuple[object, ...]:
    counters = lesson["counters"]
    names = ("successes", "failures", "expired", "pending", "outcomes", "late", "orphans", "waiting")
    head = (lesson["set"], lesson["replay"], lesson["rules"]["horizon"], counters["calls"])
    return (*head, counters["records"] - counters["calls"], *(counters[name] for name in names))


def _delay_rows(lesson: Lesson) -> Iterable[tuple[object, ...]]:
    for outcome, delays in lesson["delays"].items():
        yield (lesson["set"], outcome, delays["n"], *(_span(delays[q]) for q in ("p10", "p50", "p90", "p99", "max")))


def _revision_row(lesson: Lesson) -> tuple[object, ...]:
    calls, several = lesson["counters"]["calls"], lesson["several_statements"]
    times = {int(often): count for often, count in lesson["revisions"].items()}
    more = sum(count for often, count in times.items() if often > 1)
    share = f"{several:,} ({100 * several / calls:.1f} %)"
    return (lesson["set"], lesson["replay"], share, sum(times.values()), more)


def _alert_row(lesson: Lesson) -> tuple[object, ...]:
    tally = lesson["alerts"]
    cells = [f"{tally.get(f'{width} down', 0)} down, {tally.get(f'{width} up', 0)} up" for width in WIDTHS]
    return (lesson["set"], lesson["replay"], lesson["groups"], *cells)


def _permutations(permuted: Sequence[Lesson]) -> list[str]:
    columns = (
        "a call every",
        "configs",
        "permutations",
        "group-weeks",
        "allowed",
        "false alarms",
        "without promise",
        "found",
    )
    rows = []
    for lesson in permuted:
        found = lesson["changes"]["found"]
        counts = (lesson[name] for name in ("permutations", "group_weeks", "allowed", "false_alarms", "unpromised"))
        named = "named" if lesson["named"] else "hidden"
        rows.append(
            (_span(lesson["pace_s"]), named, *counts, f"{sum(one['by'] is not None for one in found)} of {len(found)}")
        )
    kinds = [
        f"{_span(lesson['pace_s'])}, {'named' if lesson['named'] else 'hidden'}: "
        + (", ".join(f"{n:,} {kind}" for kind, n in lesson["alerts"].items()) or "none")
        for lesson in permuted
    ]
    return [
        _table(columns, rows),
        f"All alerts by kind and metric, at a call every {'; at one every '.join(kinds)}.",
    ]


def _changes(name: str, changes: Lesson) -> list[str]:
    found, false = changes["found"], changes["false_alarms"]
    direct = sum(change["by"] == "model" for change in found)
    wider = sum(change["by"] == "wider" for change in found)
    heading = f"### {name}"
    count = f"{direct} of {len(found)} were found with the model named"
    count += f", {wider} more by alerts on all models" if wider else ""
    count += f", {len(found) - direct - wider} missed; {len(false)} false alarms."
    rows = []
    for change in sorted(found, key=lambda change: -abs(change["after"] - change["before"])):
        before, after = 100 * change["before"], 100 * change["after"]
        first = change["alerts"][0] if change["alerts"] else None
        verdict = {"model": "found", "wider": "all models", None: "missed"}[change["by"]]
        detail = (
            (_span(first["after_s"]), f"{round(first['dated_off_s'] / 60):+d} min", first["group"])
            if first
            else ("", "", "")
        )
        rate = f"{before:.1f} % -> {after:.1f} %"
        rows.append(
            (
                change["task_type"],
                change["model"],
                rate,
                f"{after - before:+.1f}",
                change["calls_after"],
                f"{_evidence(change):.0f}",
                verdict,
                *detail,
            )
        )
    columns = ("task", "model", "rate", "points", "calls after", "evidence", "", "after", "dated", "first alert on")
    parts = [heading, count, _table(columns, rows)]
    if false:
        parts.append(
            "False alarms: "
            + "; ".join(f"{alert['group']} {alert['direction']}, {alert['opened_at']}" for alert in false)
            + "."
        )
    return parts


def _evidence(change: dict[str, Any]) -> float:
    """Evidence for a change, in nats: the calls after it times the divergence of the rate after from that before."""
    before, after = change["before"], change["after"]
    divergence = after * log(after / before) + (1 - after) * log((1 - after) / (1 - before))
    return float(change["calls_after"] * divergence)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _span(seconds: float) -> str:
    """A duration in a readable unit."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
