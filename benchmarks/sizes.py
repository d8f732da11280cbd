"""What grows without bounds where producers go wrong, and what that costs: time and memory of replays, by size.

`make bench-sizes`. Each row is one `aftercall replay` in a process of its own, over files that hold one extreme: very
many configs, task types or arms, outcomes whose calls never come, statements of a single call.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.plots import chart, draw
from benchmarks.report import renew_section, write

START: Final = datetime(2026, 3, 2, tzinfo=UTC)
PARTS: Final = (0.125, 0.25, 0.5, 1.0)
_NOISE: Final = {"seconds": 0.5, "mib": 20.0}
"""By so much two runs of one size may differ."""
_TITLES: Final = {"seconds": "CPU s", "mib": "MiB"}
_ABOUT: Final = """replays of files that hold one extreme each; user and system
time, and the most memory. The last column is the power of the size with which they grow over the last doubling: 1 is a
straight line. An almost empty replay takes what the first row does.

Statements of one call grow with the square, as the ledger of a call is read as a whole in every batch that adds to it:
up to a hundred thousand this does not show; a million, a loop that votes without end, take minutes, during which other
calls wait. Outcomes that wait grow a little more than straight, as sorting them does."""
_CALLS_PER_ARM: Final = 10
_MEASURED: Final = """
import resource, runpy, sys
sys.argv = ["aftercall", *sys.argv[1:]]
try:
    runpy.run_module("aftercall", run_name="__main__")
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, file=sys.stderr)
"""
"""Runs the command line, and prints CPU seconds and the most MiB of memory that it took."""

Record = dict[str, Any]


class Extreme(NamedTuple):
    """A row of the table.

    Attributes:
        size: the largest that is tried.
        calls: those of a size.
        outcomes: those of a size.
        settings: environment variables of the run.
    """

    size: int
    calls: Callable[[int], Iterator[Record]]
    outcomes: Callable[[int], Iterator[Record]]
    settings: dict[str, str]


def _call(number: int, after: timedelta, **fields: Any) -> Record:
    at = (START + after).isoformat()
    return {"call_id": f"call-{number}", "occurred_at": at, "task_type": "triage", "model": "atlas", **fields}


def _outcome(number: int, call: str, after: timedelta) -> Record:
    at = (START + after).isoformat()
    return {
        "outcome_id": f"o-{number}", "call_id": call, "occurred_at": at, "source": "judge", "success": number % 3 > 0,
    }  # fmt: skip


def _spread(count: int) -> timedelta:
    """Between two of so many records that take three days."""
    return timedelta(days=3) / count


def _configs(size: int) -> Iterator[Record]:
    return (_call(n, n * _spread(size), config=f"hash-{n}") for n in range(size))


def _task_types(size: int) -> Iterator[Record]:
    return (_call(n, n * _spread(size), task_type=f"hash-{n}") for n in range(size))


def _arms(size: int) -> Iterator[Record]:
    count = size * _CALLS_PER_ARM
    return (_call(n, n * _spread(count), config=f"arm-{n % size}") for n in range(count))


def _answers(count: int) -> Iterator[Record]:
    return (_outcome(n, f"call-{n}", n * _spread(count) + timedelta(minutes=5)) for n in range(count))


def _one_call(_size: int) -> Iterator[Record]:
    return iter([_call(0, timedelta())])


def _of_no_call(size: int) -> Iterator[Record]:
    """Within an hour, so that none is given up."""
    return (_outcome(n, f"lost-{n}", n * timedelta(hours=1) / size) for n in range(size))


def _of_one_call(size: int) -> Iterator[Record]:
    return (_outcome(n, "call-0", n * _spread(size)) for n in range(size))


EXTREMES: Final = {
    "configs of a task type": Extreme(100_000, _configs, _answers, {}),
    "task types": Extreme(100_000, _task_types, _answers, {}),
    "arms that all compete for a name": Extreme(
        10_000, _arms, lambda size: _answers(size * _CALLS_PER_ARM), {"AFTERCALL_JOIN__MAX_GROUPS_PER_TASK": "10000"}
    ),
    "outcomes that wait for calls": Extreme(5_000_000, _one_call, _of_no_call, {}),
    "statements of one call": Extreme(1_000_000, _one_call, _of_one_call, {}),
}


def measured(extreme: Extreme, size: int) -> dict[str, float]:
    """CPU seconds and MiB of one replay.

    Raises:
        RuntimeError: the replay failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {"calls": extreme.calls(size), "outcomes": extreme.outcomes(size)}
        for name, records in files.items():
            with Path(folder, f"{name}.jsonl").open("w", encoding="utf-8") as file:
                file.writelines(json.dumps(record) + "\n" for record in records)
        command = ["replay", "--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl", "--out", "out", "--json"]
        ended = subprocess.run(
            [sys.executable, "-c", _MEASURED, *command],
            cwd=folder, env=os.environ | extreme.settings, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if ended.returncode:
        raise RuntimeError(f"benchmarks.sizes: the replay must end with 0; got {ended.returncode}: {ended.stderr}")
    seconds, mib = map(float, ended.stderr.split()[-2:])
    return {"size": size, "seconds": round(seconds, 2), "mib": round(mib, 1)}


def exponent(rows: list[dict[str, float]], name: str) -> float:
    """The power of the size with which a cost grows over the last doubling, without what an almost empty replay costs.

    1 is a straight line, 2 a parabola; 0 where all of it stays below what two runs of a kind differ by.
    """
    empty, half, whole = rows[0][name], rows[-2][name], rows[-1][name]
    if whole - empty < _NOISE[name]:
        return 0.0
    return round(math.log2((whole - empty) / max(half - empty, _NOISE[name] / 2)), 2)


def main() -> None:
    """Measure, print, write the results and draw the plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", type=float, default=1.0, help="of the sizes, such as 0.01 to try it")
    parser.add_argument("--write", action="store_true", help="renew benchmarks/results/sizes.json and docs/images")
    arguments = parser.parse_args()
    console, found = Console(), dict[str, list[dict[str, float]]]()
    table = Table("what", "how many", "CPU s", "MiB", title="Replays of extremes")
    for name, extreme in EXTREMES.items():
        found[name] = [measured(extreme, max(1, int(part * arguments.part * extreme.size))) for part in (0, *PARTS)]
        for row in found[name]:
            table.add_row(name, f"{row['size']:,}", f"{row['seconds']:,.1f}", f"{row['mib']:,.0f}")
        grows = [f"~ n^{exponent(found[name], what):.2f}" for what in _NOISE]
        table.add_row(name, "grows", *grows, end_section=True)
    console.print(table)
    figures = {f"exponent_{what}": max(exponent(rows, what) for rows in found.values()) for what in _NOISE}
    console.print_json(data=figures)
    if arguments.write:
        sizes = {name: extreme.size for name, extreme in EXTREMES.items()}
        path = write("sizes", figures, seed=0, sizes=sizes, details=found)
        renew_section("bench-sizes", markdown(json.loads(path.read_text(encoding="utf-8"))))
        for what, title in _TITLES.items():
            draw(f"sizes-{what}", _plot(found, what, title))


def markdown(result: Mapping[str, Any]) -> str:
    """The section of docs/results.md, from the content of the results file."""
    lines = [
        "## What grows where producers go wrong",
        "",
        f"`make bench-sizes` on {result['date']}: {_ABOUT}",
        "",
        "| what | how many | CPU s | MiB | grows as |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, rows in result["details"].items():
        powers = " and ".join(f"n^{exponent(rows, what):.2f}" for what in _NOISE)
        for row in rows:
            last = f" {powers} " if row is rows[-1] else " "
            lines.append(f"| {name} | {row['size']:,} | {row['seconds']:,.1f} | {row['mib']:,.0f} |{last}|")
    images = [f"![{title}](images/sizes-{what}.svg)" for what, title in _TITLES.items()]
    return "\n".join([*lines, "", *images])


def _plot(found: dict[str, list[dict[str, float]]], what: str, title: str) -> dict[str, Any]:
    values = [
        row | {"extreme": f"{EXTREMES[name].size:,} {name}", "part": row["size"] / EXTREMES[name].size}
        for name, rows in found.items()
        for row in rows
    ]
    encoding = {
        "x": {"field": "part", "type": "quantitative", "title": "part of the size"},
        "y": {"field": what, "type": "quantitative", "title": title},
        "color": {"field": "extreme", "type": "nominal", "title": None, "legend": {"labelLimit": 300}},
    }
    return chart(f"Replays of extremes: {title}", values, mark={"type": "line", "point": True}, encoding=encoding)


if __name__ == "__main__":
    main()
