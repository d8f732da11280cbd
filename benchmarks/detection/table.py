"""Renders the section on detection of docs/results.md."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from benchmarks.detection import delays

Row = Mapping[str, Any]


def markdown(size: str, recorded: Mapping[str, Row], figures: Mapping[str, float], tables: Mapping[str, Any]) -> str:
    """The section, from the figures and the tables that were measured, and what is known of their recording."""
    parts = [
        f"## Detection\n\n`make bench-detection SIZE={size}`. {_ABOUT}",
        *_recorded(recorded),
        _table(("figure", ""), ((f"`{name}`", f"{value:.4g}") for name, value in figures.items())),
    ]
    for name, (text, render, image) in _sections().items():
        if name in tables:
            parts += [text, render(tables[name])]
            parts += [f"![{image.capitalize()}](images/detection-{image}.svg)"] if image else []
    return "\n\n".join(parts)


def _recorded(tables: Mapping[str, Row]) -> list[str]:
    """Which table is of which day and commit, newest first."""
    of = sorted({(row["date"], row["commit"]) for row in tables.values()}, reverse=True)
    names = {key: sorted(name for name, row in tables.items() if (row["date"], row["commit"]) == key) for key in of}
    lines = (f"- {day} at {commit}: {', '.join(names[day, commit])}" for day, commit in of)
    wrapped = "\n".join(textwrap.fill(line, 118, subsequent_indent="  ") for line in lines)
    return [f"Recorded:\n{wrapped}"] if tables else []


def _sections() -> dict[str, tuple[str, Callable[[Any], str], str]]:
    """By table: the text before it, the function that renders it, and the plot after it."""
    return {
        "delays": (_DELAY, _delays, "delays"),
        "default_promise": ("At the threshold that is the default, p0 .9 after 10,000 events:", _default_promise, ""),
        "promise": (_PROMISE, _promise, "promise"),
        "arrivals": (_ARRIVALS, _arrivals, ""),
        "lumps": (_LUMPS, _lumps, ""),
        "suspicions": (_SUSPICIONS, _suspicions, ""),
        "sessions": (_SESSIONS, _sessions, ""),
        "bursts": (_BURSTS, _bursts, ""),
        "shared": (_SHARED, _shared, ""),
        "sources": (_SOURCES, _sources, ""),
        "contracts": (_CONTRACTS, _contracts, ""),
        "parts": ("What the parts do, batches by the hour, later weeks, A = 1,000:", _parts, ""),
        "rivals": ("Others on independent outcomes, after a week of history:", _rivals, ""),
        "defaults": (_DEFAULTS, _defaults, ""),
        "hours": (_HOURS, _hours, ""),
        "starts": (_STARTS, _starts, ""),
        "coverage": (_COVERAGE, lambda rows: _table(rows[0], rows[1:]), ""),
    }


_LUMPS: Final = """Outcomes that are delivered together, in all weeks, and the hours until a drop of 20 points at 300 a
day is noticed, from a change at midnight on:"""
_SUSPICIONS: Final = """Suspicions, looked at once a day: behind how many there is a change in their direction that no
alert has followed, by their strength and by how many groups change in a week (by 5, 10 or 20 points):"""
_SESSIONS: Final = """Conversations of 3 to 21 calls, six groups to a task type, from the first day on, at 50 false
alarms per 1,000 groups and week; and the median hours until a drop of 20 points is noticed at the default promise, at
an unknown hour after three weeks. As shipped, with one outcome of each conversation, and with each outcome in full:"""
_BURSTS: Final = """Outcomes of one source that come in bursts, within a minute, of calls without sessions, six groups
to a task type, after the warm-up of three days, at 50 false alarms per 1,000 groups and week; and the median hours
until a drop of 20 points is noticed at the default promise, from a midnight after three weeks on. As shipped, with one
outcome of each burst, and with each outcome in full:"""
_SHARED: Final = """Intervals of 95 % in `current_rates` where calls come in conversations of 3 to 30, six groups to a
task type that do not change, after 15 days: how often they hold the true rate, and of how many groups one look of
`insights` at the last day and the six before says that they have changed; each outcome in full, and as shipped:"""
_SOURCES: Final = """Sources watched beside the verdicts (`[drift] sources`): users, who answer half of the calls and
complain within 20 minutes and praise after 2.5 hours, and a judge. Alarms on the two over those that their eighth
promises at 50 false alarms per 1,000 groups and week, each group and source watched to the end; and the median hours
until a fall of the users' success rate is found at the default promise, from a midnight after three weeks on, beside
those that a fall of the verdicts would take. The judge's success rate does not move:"""
_CONTRACTS: Final = """Rules of contracts that are watched by their rate, two of them, each violated by about 1 % of
the calls and checked on each: alarms over those that their eighth promises at 50 false alarms per 1,000 groups and
week, each group and rule watched from its first call to the end; and the median hours until a rule that 1 % of the
calls violated for a week, and more from then on, has an alarm at the default promise, on the config:"""
_ABOUT: Final = """Figures: `benchmarks/results/detection.json`; what is measured how:
`benchmarks/detection/`; formulas: `docs/statistics.md`. `with_history`: after the first week; `upper95`: one-sided 95 %
Poisson bound; both of the worst stream that is promised 3 false alarms at least: fewer can show nothing."""

_DELAY: Final = """### Delay

Mean delay in events, and in brackets over that of a CUSUM that knows both rates. `CT-SR formula`: one direction, all
trials independent, margin 0, threshold calibrated so that a share 1 - 1/e of paths alarms falsely within ARL0 events,
as with river's detectors. `CT-SR shipped`: nothing is calibrated; the threshold is that which promises one false alarm
in ARL0 events of a group with 1,000 a day, both directions together, and such are its minutes. The change comes 1,000
events after the history; `early`: share of paths that alarmed before it, the greatest of the row. `>`: some paths were
not detected and count with the cap."""

_ARRIVALS: Final = """Alarms on traffic over those promised, first weeks included, each series watched to the end,
with the one-sided 95 % Poisson bound; `others`: alarms without a promise. An outage at noon of a Wednesday in the fifth
week: how many are found within three weeks, and after how long."""

_PROMISE: Final = """### Promise

False alarms of the shipped detector over those promised, both directions together, with the one-sided 95 % Poisson
bound of the ratio, then alarms / promised ones. Groups with 30 to 10,000 outcomes a day and failure rates from
Beta(2, 8), each watched until its first alarm in a direction. In the first week there is no history, in later ones a
week or more; by the minute both are counted together."""

_DEFAULTS: Final = """River's defaults event by event: share of paths with a false alarm within 1,000 and 10,000 events
of a fresh start; delay of a drop of 10 points that comes after 2,000 events:"""

_STARTS: Final = """Hours until a drop of 10 points at p0 .9 and 13,700 outcomes a day is noticed, by the hour (UTC)
with which it begins, in installations of a dozen such groups: median and 95 % quantile of the worst and of the
best hour, the median from midnight on, and how many of all took more than 24 h."""

_HOURS: Final = """### Hours

Median hours until a drop of 10 points at p0 .9 is noticed, by the hour, after two weeks: as shipped at the default
promise, and by the rule "last 48 h against 7 days, more than 5 points" (100 outcomes at least). `early`: share of
groups alarmed in the week before."""

_COVERAGE: Final = """### Corrected rates

`benchmarks/coverage.py`: mean error, and coverage of 95 % intervals."""


def _delays(rows: Sequence[Row]) -> str:
    parts = []
    for (p0, arl0, history), block in itertools.groupby(rows, key=lambda r: (r["p0"], r["arl0"], r["history"])):
        parts += [f"p0 {p0:g}, ARL0 {arl0:,}, history {history:,}:", _delay_table(list(block))]
    return "\n\n".join(parts)


def _default_promise(rows: Sequence[Row]) -> str:
    arl0 = rows[0]["arl0"]
    about = (
        f"(Outcomes of a group with 1,000 a day alarm falsely once in {arl0:,} events at most, the oracle's as well.)"
    )
    return f"{_delay_table(rows)}\n\n{about}"


def _delay_table(rows: Sequence[Row]) -> str:
    drops = list(dict.fromkeys(row["drop"] for row in rows))
    names = ["ramp" if drop == delays.RAMP else f"{100 * drop:g}" for drop in drops]
    lines = []
    for method in dict.fromkeys(row["method"] for row in rows):
        of = {row["drop"]: row for row in rows if row["method"] == method}
        paths = sorted({row["paths"] for row in of.values()})
        early = max(row["early"] for row in of.values())
        lines.append([method, *(_delay(of[d]) for d in drops), f"{early:.3f}", " to ".join(f"{n:,}" for n in paths)])
    return _table(("points", *names, "early", "paths"), lines)


def _delay(row: Row) -> str:
    if row["mean"] is None:
        return "all early"
    more = ">" if row["undetected"] else ""
    return f"{more}{row['mean']:.0f} ({more}{row['over_oracle']:.2f})"


def _promise(rows: Sequence[Row]) -> str:
    keys = dict.fromkeys((row["stream"], row["minutes"], row["phase"]) for row in rows)
    thresholds = dict.fromkeys(row["threshold"] for row in rows)
    lines = []
    for stream, minutes, phase in keys:
        of = {r["threshold"]: r for r in rows if (r["stream"], r["minutes"], r["phase"]) == (stream, minutes, phase)}
        lines.append([stream, "hour" if minutes == 60 else "minute", phase, *(_ratio(of[a]) for a in thresholds)])
    return _table(("stream", "batches", "phase", *(f"A = {a:,}" for a in thresholds)), lines)


def _lumps(rows: Sequence[Row]) -> str:
    head = ("outcomes come", "A = 100", "median hours")
    return _table(head, ([row["stream"], _ratio(row), _hours_text(row["delay_h"])] for row in rows))


def _suspicions(rows: Sequence[Row]) -> str:
    head = ("change in a week", "strength from", "looks at one", "real")
    return _table(
        head,
        (
            [
                f"{row['weekly']:.2%}",
                f"{row['from']:g}",
                f"{row['listed']:,}",
                f"{row['real'] / max(row['listed'], 1):.0%}",
            ]
            for row in rows
        ),
    )


def _sources(rows: Sequence[Row]) -> str:
    header = ("stream", "ratio (upper bound)", "alarms", "10 points", "as verdicts", "20 points", "as verdicts")
    delays_ = ("source_10_h", "verdicts_10_h", "source_20_h", "verdicts_20_h")
    lines = (
        (
            row["stream"],
            f"{row['ratio']:.2f} ({row['upper']:.2f})",
            f"{row['drops'] + row['rises']} / {row['promised']:.1f}",
            *("-" if row[name] is None else f"{row[name]:.1f} h" for name in delays_),
        )
        for row in rows
    )
    return _table(header, lines)


def _contracts(rows: Sequence[Row]) -> str:
    header = ("stream", "ratio (upper bound)", "alarms", "1 % to 6 %", "1 % to 30 %")
    lines = (
        (
            row["stream"],
            f"{row['ratio']:.2f} ({row['upper']:.2f})",
            f"{row['alarms']} / {row['promised']:.1f}",
            *("-" if row[name] is None else f"{row[name]:.1f} h" for name in ("to_6_h", "to_30_h")),
        )
        for row in rows
    )
    return _table(header, lines)


def _sessions(rows: Sequence[Row]) -> str:
    head = ("conversations", "counted", "alarms over promised", "of the first week", "median hours")
    return _table(
        head,
        (
            [row["stream"], row["way"], _ratio(row), str(row["of_first_week"]), _hours_text(row["delay_h"])]
            for row in rows
        ),
    )


def _bursts(rows: Sequence[Row]) -> str:
    head = ("outcomes", "counted", "alarms over promised", "of the first week", "median hours")
    cells = ([row["stream"], row["way"], _ratio(row), str(row["of_first_week"])] for row in rows)
    hours = (_hours_text(row["delay_h"]) for row in rows)
    return _table(head, ([*one, delay] for one, delay in zip(cells, hours, strict=True)))


def _shared(rows: Sequence[Row]) -> str:
    head = ("conversations", "span", "outcomes", "design effect", "in full", "shipped", "named in full", "named")
    return _table(
        head,
        (
            [
                row["stream"],
                row["span"],
                f"{row['outcomes']:,.0f}",
                f"{row['design_effect']:.1f}",
                f"{row['in_full']:.2f}",
                f"{row['shipped']:.3f}",
                f"{row['named_in_full']:.1%}",
                f"{row['named']:.1%}",
            ]
            for row in rows
        ),
    )


def _hours_text(hours: float | None) -> str:
    return "-" if hours is None else f"{hours:.0f}"


def _parts(rows: Sequence[Row]) -> str:
    configs = dict.fromkeys(row["config"] for row in rows)
    streams = dict.fromkeys(row["stream"] for row in rows)
    of = {(row["stream"], row["config"]): row for row in rows}
    names = {"plain formula": "all trials independent", "a margin of one point": "shipped, margin .01"}
    head = ("stream", *(names.get(config, config) for config in configs))
    return _table(head, ([stream, *(_ratio(of[stream, config]) for config in configs)] for stream in streams))


def _ratio(row: Row) -> str:
    return f"{row['ratio']:.2f} (≤ {row['upper']:.2f}) {row['drops'] + row['rises']} / {row['promised']:.1f}"


def _rivals(rows: Sequence[Row]) -> str:
    head = ("detector", "groups", "group-weeks", "false alarms", "per 1,000 group-weeks")
    return _table(
        head,
        (
            (r["method"], r["groups"], f"{r['group_weeks']:.0f}", r["alarms"], f"{r['per_1000_group_weeks']:.1f}")
            for r in rows
        ),
    )


def _defaults(rows: Sequence[Row]) -> str:
    shares = ("within_1000", "within_all", "early", "undetected")
    head = ("detector", "p0", "paths", "delay", "within 1,000", "within 10,000", "early", "undetected")
    return _table(
        head,
        (
            (
                r["method"],
                f"{r['p0']:g}",
                r["paths"],
                _number(r["delay_drop10"], 0),
                *(_number(r[s], 3) for s in shares),
            )
            for r in rows
        ),
    )


def _hours(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        line = [f"{row['per_day']:,}"]
        for name in ("ours", "rule"):
            hours = row[f"{name}_h"]
            line += ["most not noticed" if hours is None else f"{hours:g}", f"{row[f'{name}_early']:.3f}"]
        lines.append(line)
    return _table(("outcomes a day", "shipped", "early", "rule", "early"), lines)


def _starts(rows: Sequence[Row]) -> str:
    lines = [
        (
            row["days"],
            24 * row["runs"],
            *(f"{row[name]:.2f}" for name in ("best_h", "worst_h", "midnight_h", "best_late_h", "worst_late_h")),
            row["over_24_h"],
        )
        for row in rows
    ]
    head = ("days of history", "runs", "best hour", "worst", "midnight", "best hour, 95 %", "worst, 95 %", "over 24 h")
    return _table(head, lines)


def _number(value: float | None, places: int) -> str:
    return "all early" if value is None else f"{value:.{places}f}"


def _table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _arrivals(rows: Sequence[Mapping[str, Any]]) -> str:
    titles = ("stream", "asked for", "alarms / promised", "ratio", "others", "found", "median hours")
    return _table(
        titles,
        [
            (
                row["stream"],
                f"{row['promise']:g}",
                f"{row['alarms']} / {row['promised']:.2g}",
                f"{row['ratio']:.2f} ({row['upper']:.2f})",
                str(row["others"]),
                f"{row['found']:.0%}" if "found" in row else "",
                f"{row['median_h']:.0f}" if row.get("median_h") is not None else "",
            )
            for row in rows
        ],
    )
