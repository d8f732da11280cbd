"""Measures delay, promise, rivals, corrected rates and cost of detection: `make bench-detection`.

    python -m benchmarks.detection [--size ci|full] [--only TABLE ... [--record]] [--render]

Prints the section of docs/results.md, and renews it, benchmarks/results/detection.json and the plots of docs/images.
`--only` prints the named tables and writes nothing, with `--record` it renews them among the stored results; each table
is stored with its date, commit and seconds. `--render` measures nothing, and renews section and plots from the stored
results.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks import coverage, report
from benchmarks.detection import (
    arrivals,
    bursts,
    contracts,
    cost,
    delays,
    hours,
    lumps,
    plots,
    promise,
    rivals,
    sessions,
    shared,
    sources,
    starts,
    suspicions,
    table,
)
from benchmarks.detection.ours import MARGIN, PLAIN, SHIPPED
from benchmarks.detection.populations import STREAMS

SEED: Final = 5
SECTIONS: Final = (
    "delays", "default_promise", "promise", "arrivals", "lumps", "suspicions", "sessions", "bursts", "shared",
    "sources", "contracts", "parts", "rivals", "defaults", "hours", "starts", "coverage", "cost",
)  # fmt: skip
"""Tables, in the order in which they are measured."""


class Size(NamedTuple):
    """How much to measure.

    Attributes:
        delays: size of the delay protocol.
        default_promise: number of paths.
        defaults: success rates, and numbers of paths for river's fast and slow detectors.
        by_hour, by_minute: (groups, weeks) of the promise, with batches by the hour and by the minute.
        arrivals: series of traffic at a time, how often, and weeks.
        lumps: (groups, weeks) per way of delivery.
        suspicions: (groups, weeks) per share of groups that change.
        sessions: task types and weeks of conversations.
        bursts: task types and weeks of outcomes that come in bursts.
        shared: task types of conversations whose intervals are looked at.
        sources: groups and weeks of sources that are watched.
        contracts: groups and weeks of rules that are watched.
        parts: groups per configuration, over three weeks.
        rivals: groups for river's detectors, groups for the rule, and weeks.
        hours: groups per traffic.
        starts: groups per hour of the day.
        cost: number of groups.
    """

    delays: delays.Size
    default_promise: int
    defaults: tuple[tuple[float, ...], tuple[int, int]]
    by_hour: tuple[int, int]
    by_minute: tuple[int, int]
    arrivals: arrivals.Size
    lumps: tuple[int, int]
    suspicions: tuple[int, int]
    sessions: sessions.Size
    bursts: bursts.Size
    shared: int
    sources: sources.Size
    contracts: contracts.Size
    parts: int
    rivals: tuple[int, int, int]
    hours: int
    starts: int
    cost: int


SIZES: Final = {
    "ci": Size(
        delays.CI,
        300,
        ((0.9,), (200, 40)),
        (8_000, 5),
        (400, 2),
        arrivals.Size(100, 1, 10),
        (1_000, 5),
        (2_000, 4),
        sessions.Size(8, 4, 2),
        bursts.Size(4, 4, 2),
        20,
        sources.Size(30, 4, 6),
        contracts.Size(30, 4, 6),
        2_000,
        (40, 500, 1),
        200,
        100,
        100_000,
    ),
    "full": Size(
        delays.FULL,
        2_000,
        ((0.9, 0.6), (1500, 200)),
        (80_000, 5),
        (60_000, 2),
        arrivals.Size(500, 2, 26),
        (10_000, 6),
        (20_000, 6),
        sessions.Size(120, 6, 20),
        bursts.Size(80, 4, 12),
        100,
        sources.Size(260, 6, 24),
        contracts.Size(260, 6, 24),
        10_000,
        (200, 5_000, 2),
        400,
        400,
        100_000,
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=tuple(SIZES), default="ci")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--render", action="store_true")
    asked = parser.parse_args(argv)
    if not asked.render:
        tables, took = measured(asked.size, asked.only)
        if asked.only != SECTIONS and not asked.record:
            print(table.markdown(asked.size, {}, {}, rounded(tables)))
            return 0
        print(f"wrote {recorded(asked.size, rounded(tables), took)}")
    print(rendered(json.loads((report.RESULTS / "detection.json").read_text())))
    return 0


def recorded(size: str, tables: Mapping[str, Any], took: Mapping[str, float]) -> Path:
    """Renew tables among the stored results of that size; results of another size are left out. Returns the file."""
    path = report.RESULTS / "detection.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    kept = stored if stored.get("sizes", {}).get("size") == size else {"sizes": {"tables": {}}, "details": {}}
    now = {"date": datetime.now(UTC).date().isoformat(), "commit": report.commit()}
    of_tables = kept["sizes"]["tables"] | {name: now | {"seconds": seconds} for name, seconds in took.items()}
    details = kept["details"] | {"river": version("river")} | dict(tables)
    sizes = {"size": size, "tables": of_tables}
    return report.write("detection", rounded(figures(details)), seed=SEED, sizes=sizes, details=details)


def rendered(result: Mapping[str, Any]) -> str:
    """Renew section and plots from a results file; returns the section."""
    sizes = result["sizes"]
    text = table.markdown(sizes["size"], sizes["tables"], result["figures"], result["details"])
    for path in (report.renew_section("bench-detection", text), *plots.drawn(result["details"])):
        print(f"wrote {path}")
    return text


def measured(name: str, only: Sequence[str]) -> tuple[dict[str, Any], dict[str, float]]:
    """The tables, and the seconds that each took."""
    size = SIZES[name]
    measures: dict[str, Callable[[], Any]] = {
        "delays": lambda: delays.table(size.delays),
        "default_promise": lambda: delays.at_default_promise((0.05, 0.1, 0.2), size.default_promise),
        "promise": lambda: _promise(size),
        "arrivals": lambda: arrivals.table(size.arrivals),
        "lumps": lambda: lumps.table(*size.lumps),
        "suspicions": lambda: suspicions.table(*size.suspicions),
        "sessions": lambda: sessions.table(size.sessions),
        "bursts": lambda: bursts.table(size.bursts),
        "shared": lambda: shared.table(size.shared),
        "sources": lambda: sources.table(size.sources),
        "contracts": lambda: contracts.table(size.contracts),
        "parts": lambda: _parts(size.parts),
        "rivals": lambda: rivals.table(*size.rivals),
        "defaults": lambda: delays.defaults(*size.defaults),
        "hours": lambda: hours.table(size.hours),
        "starts": lambda: starts.table(size.starts),
        "coverage": lambda: coverage.figures(name),
        "cost": lambda: {
            way: cost.ns_per_group_batch(dispersion=way == "shipped", groups=size.cost)
            for way in ("shipped", "formula")
        },
    }
    tables: dict[str, Any] = {}
    took: dict[str, float] = {}
    for section in SECTIONS:
        if section in only:
            begun = time.monotonic()
            tables[section] = measures[section]()
            took[section] = round(time.monotonic() - begun, 1)
            print(f"{section}: {took[section]} s", file=sys.stderr, flush=True)
    if "coverage" in tables:
        tables["coverage_figures"], tables["coverage"] = tables["coverage"]
    return tables, took


def _promise(size: Size) -> list[dict[str, Any]]:
    rows = []
    for number, stream in enumerate(STREAMS):
        for minutes, (groups, weeks) in ((60, size.by_hour), (1, size.by_minute)):
            seed = SEED + 10 * number + minutes
            tallies = promise.run(stream, SHIPPED, groups=groups, weeks=weeks, minutes=minutes, seed=seed)
            # Batches by the minute are expensive, so weeks are few: only all phases merged have enough alarms.
            tallies = tallies if minutes == 60 else promise.merged(tallies)
            rows += [{"stream": stream.name, "minutes": minutes} | tally.plain() for tally in tallies]
            print(f"promise: {stream.name}, batches of {minutes} min", file=sys.stderr, flush=True)
    return rows


def _parts(groups: int) -> list[dict[str, Any]]:
    rows = []
    for stream in STREAMS:
        for config in (PLAIN, SHIPPED, MARGIN):
            found = promise.run(stream, config, groups=groups, weeks=3, minutes=60, seed=SEED)
            (tally,) = (t for t in found if t.phase == "later weeks" and t.threshold == 1000)
            rows.append({"stream": stream.name, "config": config.name} | tally.plain())
    return rows


def figures(tables: Mapping[str, Any]) -> dict[str, float]:
    """The figures that are compared between runs, of those tables that there are."""
    found: dict[str, float] = {}
    for method, suffix in ((delays.FORMULA, ""), (delays.SHIPPED, "_shipped")):
        for row in tables.get("delays", ()):
            if (row["p0"], row["arl0"], row["history"], row["method"]) == (0.9, 10_000, 10_000, method):
                points = round(100 * row["drop"])
                if points in {5, 10, 20}:
                    found[f"delay_over_oracle_drop{points}{suffix}"] = row["over_oracle"]
    for row in tables.get("default_promise", ()):
        if row["method"] == delays.SHIPPED:
            found[f"delay_over_oracle_drop{round(100 * row['drop'])}_shipped_default_promise"] = row["over_oracle"]
    for threshold in promise.THRESHOLDS if "promise" in tables else ():
        rows = [
            row
            for row in tables["promise"]
            if row["threshold"] == threshold and row["promised"] >= promise.LEAST_PROMISED
        ]
        later = [row for row in rows if row["phase"] == "later weeks"]
        name = f"false_alarms_over_promise_A{threshold}"
        found[name] = max(row["ratio"] for row in rows)
        found[f"{name}_upper95"] = max(row["upper"] for row in rows)
        found[f"{name}_with_history"] = max(row["ratio"] for row in later)
        found[f"{name}_with_history_upper95"] = max(row["upper"] for row in later)
    for row in tables.get("starts", ()):
        found[f"worst_hour_over_best_{row['days']}_days"] = row["worst_h"] / row["best_h"]
        found[f"worst_hour_over_best_{row['days']}_days_p95"] = row["worst_late_h"] / row["best_late_h"]
    found |= tables.get("coverage_figures", {})
    names = {"shipped": "ns_per_group_batch", "formula": "ns_per_group_batch_formula"}
    return found | {names[way]: ns for way, ns in tables.get("cost", {}).items()}


def rounded(value: Any) -> Any:
    """Plain values, floats to 5 significant digits; None for nan."""
    if isinstance(value, Mapping):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.5g}")
    return value


if __name__ == "__main__":
    sys.exit(main())
