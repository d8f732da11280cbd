"""Follows recommendations over recorded outcomes, many times, and compares with what one arm or chance would have had.

`--write` writes `benchmarks/results/routing_real.json` and the table of docs/results.md. Sets that are absent are named
and left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks import report
from benchmarks.routing_real.following import follow
from benchmarks.routing_real.worlds import RecordedWorld, worlds
from models.arrays import F64

NAME: Final = "routing_real"
VALUE_USD: Final = 2.0
"""What a success is worth where cost counts too."""
CALLS: Final = (500, 3000)
"""Lengths of runs: few for each arm, and enough to find the best."""
NORMAL_95: Final = 1.96


class Row(NamedTuple):
    """One world, length and policy; rates and costs are per call, and lost ones per 1,000 calls. Halves are of 95 %."""

    world: str
    calls: int
    policy: str
    rate: float
    rate_half: float
    lost: float
    lost_half: float
    last_lost: float
    cost_usd: float
    uniform: float
    best: float
    oracle: float
    best_arm: str
    best_cost_usd: float
    uniform_cost_usd: float


def main() -> None:
    """Run, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing_real", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="random orders of each world and length")
    parser.add_argument("--calls", type=int, nargs="+", default=CALLS, help="in each phase of a run")
    parser.add_argument("--only", default="", help="worlds whose name holds this")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--write", action="store_true", help="write the results and the document")
    given = parser.parse_args()
    found, absent = worlds()
    for name in absent:
        print(f"routing_real: {name} is absent, so it is skipped", file=sys.stderr)
    rows = [
        row
        for place, world in enumerate(found)
        if given.only in world.name
        for calls in given.calls
        for row in measured(world, calls, given.runs, (given.seed, place))
    ]
    if not rows:
        return
    table = "\n".join(lines(rows, given.runs))
    print(table)
    if given.write:
        figures = {f"{row.world}, {row.calls} calls, {row.policy}: lost per 1,000": round(row.lost, 1) for row in rows}
        details = {"rows": [_plain(row) for row in rows]}
        sizes = {"runs": given.runs, "calls": list(given.calls)}
        report.write(NAME, figures, seed=given.seed, sizes=sizes, details=details)
        report.renew_section(NAME, table)


def measured(world: RecordedWorld, calls: int, runs: int, seed: tuple[int, int]) -> list[Row]:
    """By rate alone, and where cost is recorded, by what a success is worth too."""
    rates = np.array([phase.rates for phase in world.phases])
    one = int(rates.mean(axis=0).argmax())
    costs = np.array([phase.costs for phase in world.phases]).mean(axis=0)
    values = (None, VALUE_USD) if world.name.startswith("openhands") else (None,)
    made = []
    for value in values:
        done = [follow(world, calls, value, np.random.default_rng([*seed, calls, run])) for run in range(runs)]
        rate, half = _mean(run.rate for run in done)
        # Without a change the best fixed arm; with one the best arm of each phase.
        best = float(rates.max(axis=1).mean())
        lost, lost_half = _mean(1000 * (best - run.rate) for run in done)
        made.append(
            Row(
                world.name, calls, "aftercall" if value is None else f"aftercall, a success is worth {value:g} USD",
                rate, half, lost, lost_half, _mean(1000 * (run.last_best - run.last_rate) for run in done)[0],
                _mean(run.cost_usd for run in done)[0], float(rates.mean()), best,
                float(np.mean([phase.success.any(axis=1).mean() for phase in world.phases])),
                world.arms[one], float(costs[one]), _mean(cost for cost in costs if not np.isnan(cost))[0],
            )
        )  # fmt: skip
    return made


def _mean(values: Iterable[float]) -> tuple[float, float]:
    """The mean, and half of its 95 % interval; 0 of a single value; nan of none."""
    of: F64 = np.array(list(values))
    if not len(of):
        return float("nan"), 0.0
    half = NORMAL_95 * of.std(ddof=1) / np.sqrt(len(of)) if len(of) > 1 else 0.0
    return float(of.mean()), float(half)


def lines(rows: list[Row], runs: int) -> list[str]:
    """The table, with a sentence before it."""
    head = ("world", "calls", "policy", "success", "best", "uniform", "oracle", "lost per 1,000", "in the last quarter")
    cost = ("USD a call", "best's", "uniform's")
    named = [*head, *cost]
    text = [
        f"Means of {runs} random orders, 95 % intervals over orders; `calls` are of each phase.",
        "",
        f"| {' | '.join(named)} |",
        f"|{'---|' * len(named)}",
    ]
    for row in rows:
        cells = (
            row.world, f"{row.calls:,}", row.policy, f"{100 * row.rate:.1f} ± {100 * row.rate_half:.1f} %",
            f"{100 * row.best:.1f} %", f"{100 * row.uniform:.1f} %", f"{100 * row.oracle:.1f} %",
            f"{row.lost:.0f} ± {row.lost_half:.0f}", f"{row.last_lost:.0f}",
            *(_usd(value) for value in (row.cost_usd, row.best_cost_usd, row.uniform_cost_usd)),
        )  # fmt: skip
        text.append(f"| {' | '.join(cells)} |")
    return text


def _usd(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2g}"


def _plain(row: Row) -> dict[str, Any]:
    of = {name: round(value, 4) if isinstance(value, float) else value for name, value in row._asdict().items()}
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in of.items()}


if __name__ == "__main__":
    main()
