"""Measures bias and coverage of the delay-corrected rate, the naive rate, and mature calls alone.

    python -m benchmarks.coverage [--full]

Failures are known after 10 minutes, successes after 3 hours (medians of log-normals, sigma 1.2), half of the calls
never get a verdict, 100 calls an hour, the truth is 0.85 (docs/statistics.md, "Delay correction"). The estimates are
read from the table `current_rates` of `RateCells`, after the calls and verdicts were applied to it; the formula is not
repeated here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aftercall.times import HOUR_US, MINUTE_US
from models.arrays import F64, I32, I64, Bools
from models.messages import CellDeltas, DelayDeltas, Group, LatencyDeltas
from models.rates import RateCells
from models.stats import delay_distribution as delay
from models.stats.delay_correction import correct, expected, shrunken
from models.stats.intervals import wilson

NOW = 500_000 * HOUR_US
MATURE_H = 21
HEADER = ["setting", "naive bias", "coverage", "mature bias", "coverage", "corrected bias", "coverage", "width"]
GROUPS = {"ci": 1_000, "full": 10_000}
_TOGETHER = 500


@dataclass(frozen=True)
class Setting:
    """One situation. Times in hours; `history`: verdicts from which each group learns its delays."""

    name: str
    window: int
    per_hour: float = 100.0
    truth: float = 0.85
    history: int = 5_000
    answered: float = 0.5
    failure_median: float = 1 / 6
    success_median: float = 3.0
    sigma: float = 1.2
    newest: float = 0.0
    """Share of the calls that fall into the last hour, over an even spread."""
    before: float = 0.85
    """Success rate of the history."""


SETTINGS = (
    Setting("1 h", 1),
    Setting("6 h", 6),
    Setting("24 h", 24),
    Setting("24 h, half of the calls in the last", 24, newest=0.5),
    Setting("6 h after a drop of 10 points", 6, truth=0.75),
    Setting("6 h, 500 verdicts of history", 6, history=500),
    Setting("24 h, 10 calls an hour", 24, per_hour=10),
    Setting("24 h, failures 2 d, successes 1 h", 24, failure_median=48.0, success_median=1.0),
)


@dataclass(frozen=True)
class Estimates:
    """Estimates of one setting as (rate, low, high), each of shape (groups,); nan without an estimate."""

    naive: tuple[F64, F64, F64]
    mature: tuple[F64, F64, F64]
    corrected: tuple[F64, F64, F64]


def figures(size: str) -> tuple[dict[str, float], list[list[str]]]:
    """Run all settings.

    Args:
        size: "ci" (1,000 groups per setting, about 10 s) or "full" (10,000).

    Returns:
        Figures for the record, and a table whose first row names its columns.
    """
    numbers: dict[str, float] = {}
    table = [HEADER]
    for number, setting in enumerate(SETTINGS):
        estimates = simulate(setting, GROUPS[size], seed=100 + number)
        cells = [setting.name]
        for estimate in (estimates.naive, estimates.mature, estimates.corrected):
            bias, coverage, _ = score(estimate, setting.truth)
            cells += ["", ""] if np.isnan(bias) else [f"{bias:+.4f}", f"{coverage:.3f}"]
        bias, coverage, width = score(estimates.corrected, setting.truth)
        table.append([*cells, f"{width:.3f}"])
        if setting.name in {"6 h", "24 h"}:
            hours = f"{setting.window}h"
            numbers[f"corrected_coverage_{hours}"] = coverage
            numbers[f"corrected_abs_bias_{hours}"] = abs(bias)
            numbers[f"naive_abs_bias_{hours}"] = abs(score(estimates.naive, setting.truth)[0])
    return {name: round(value, 5) for name, value in numbers.items()}, table


def score(estimate: tuple[F64, F64, F64], truth: float) -> tuple[float, float, float]:
    """Mean error, share of intervals that hold the truth, mean width; nan if no group has an estimate."""
    rate, low, high = (part[~np.isnan(estimate[0])] for part in estimate)
    if not len(rate):
        return float("nan"), float("nan"), float("nan")
    return float(rate.mean() - truth), float(((low <= truth) & (truth <= high)).mean()), float((high - low).mean())


def simulate(setting: Setting, groups: int, seed: int) -> Estimates:
    """Draw `groups` independent groups, each the only one of its task type, and read their rates from `RateCells`."""
    parts = [
        _estimates(setting, min(_TOGETHER, groups - first), np.random.default_rng((seed, first)))
        for first in range(0, groups, _TOGETHER)
    ]
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    return Estimates(*((joined[i], joined[i + 1], joined[i + 2]) for i in (0, 3, 6)))


def _estimates(setting: Setting, groups: int, rng: np.random.Generator) -> list[F64]:
    cells = RateCells()
    names = [(f"task {i:05d}", "m", "c") for i in range(groups)]
    past = replace(setting, truth=setting.before)
    history = np.repeat(np.arange(groups), setting.history)
    # The slower the verdicts, the longer the history; the newest day of it is as old as the window.
    days = 8 if setting.failure_median < 24 else 40
    history_at = NOW - HOUR_US * rng.integers(24, 24 * days, len(history)) - 1
    _draw_verdicts(cells, names, history, history_at, replace(past, answered=1), rng)
    counts = rng.poisson(setting.per_hour * setting.window, groups)
    code = np.repeat(np.arange(groups), counts)
    spread = np.where(rng.random(len(code)) < setting.newest, 1.0, setting.window)
    age = (rng.random(len(code)) * spread * HOUR_US).astype(np.int64)
    mature = _draw_verdicts(cells, names, code, NOW - 1 - age, setting, rng)
    cells.advance(NOW, NOW - 1)
    _, current = cells.tables(NOW, live=True)
    chosen = current["span"] == ("1h" if setting.window == 1 else "24h")
    columns = {name: values[chosen] for name, values in current.items()}
    row = np.array([int(task.split()[1]) for task in columns["task_type"]])
    out = [np.full(groups, np.nan) for _ in range(9)]
    for i, field in enumerate(("rate", "rate_low", "rate_high")):
        out[i][row] = columns[field]
    for i, field in enumerate(("corrected_rate", "corrected_low", "corrected_high")):
        out[i + 6][row] = columns[field]
    successes, failures = mature
    with np.errstate(invalid="ignore"):
        out[3], (out[4], out[5]) = successes / (successes + failures), wilson(successes, successes + failures)
    return out


def _draw_verdicts(
    cells: RateCells, names: list[Group], code: I64, at: I64, setting: Setting, rng: np.random.Generator
) -> tuple[F64, F64]:
    """Draw verdicts and apply those known by now; returns successes and failures of the mature calls, per group."""
    good = rng.random(len(code)) < setting.truth
    median = np.where(good, setting.success_median, setting.failure_median) * HOUR_US
    slow = (median * np.exp(rng.normal(0, setting.sigma, len(code)))).astype(np.int64)
    known = (rng.random(len(code)) < setting.answered) & (at + slow < NOW)
    apply_calls(cells, names, code, at, good, np.where(known, slow, -1))
    mature = known & (at < NOW - MATURE_H * HOUR_US) & (at >= NOW - setting.window * HOUR_US)
    return (
        np.bincount(code[mature & good], minlength=len(names)).astype(np.float64),
        np.bincount(code[mature & ~good], minlength=len(names)).astype(np.float64),
    )


def apply_calls(cells: RateCells, names: list[Group], code: I64, at: I64, good: Bools, delay_us: I64) -> None:
    """Apply calls and their verdicts to the cells.

    Args:
        cells: Changed in place.
        names: Names of the groups.
        code: Group of each call, shape (n,), an index into `names`.
        at: Time of each call, µs, shape (n,).
        good: Whether its verdict is success, shape (n,).
        delay_us: How long the verdict took, shape (n,); negative without a verdict.
    """
    known = delay_us >= 0
    minute = at // MINUTE_US
    kinds, inverse = np.unique(code * (1 << 31) + minute, return_inverse=True)
    calls, successes, failures = (
        _sums(inverse, mask, len(kinds)) for mask in (np.ones(len(code), bool), known & good, known & ~good)
    )
    of_cells = CellDeltas(
        (kinds >> 31).astype(np.int32),
        (kinds & ((1 << 31) - 1)).astype(np.int32),
        calls,
        successes,
        failures,
        np.zeros(len(kinds), np.int32),
        np.zeros(len(kinds), np.int64),
    )
    bucket = delay.delay_bucket(delay_us[known]).astype(np.int64)
    packed = ((code[known] << 24 | at[known] // HOUR_US) << 1 | good[known]) << 6 | bucket
    drawn, counts = np.unique(packed, return_counts=True)
    of_delays = DelayDeltas(
        (drawn >> 31).astype(np.int32),
        (drawn >> 7 & ((1 << 24) - 1)).astype(np.int32),
        (drawn >> 6 & 1).astype(np.int8),
        (drawn & 63).astype(np.int16),
        counts.astype(np.int32),
    )
    none = np.zeros(0, np.int32)
    cells.apply(names, of_cells, LatencyDeltas(none, none, none.astype(np.int16), none), of_delays)


def _sums(inverse: I64, mask: Bools, length: int) -> I32:
    return np.bincount(inverse[mask], minlength=length).astype(np.int32)


# --- the weight of the task type's delays -----------------------------------------------------------------------------


def weights(groups: int, seed: int = 7) -> list[list[str]]:
    """How the weight of the parent affects a group with little history, for groups that differ and that do not.

    Siblings have 5,000 verdicts; the delays of the group are `exp(N(0, tau))` times theirs, with separate draws for
    failures and successes. RMSE is that of the log odds, at 600 calls over the last 6 hours.
    """
    tried = (0.0, 10.0, 20.0, 50.0, 200.0)
    table = [["tau", "own verdicts", *(f"RMSE, coverage at {weight:g}" for weight in tried)]]
    for tau in (0.0, 0.3, 0.6):
        for own in (0, 30, 100, 1_000):
            rng = np.random.default_rng((seed, int(10 * tau), own))
            cells = []
            drawn = _little_history(rng, groups, own, tau)
            for weight in tried:
                rate, low, high = _estimated(*drawn, weight)
                known = ~np.isnan(rate)
                if not known.any():
                    cells.append("none")
                    continue
                error = np.log(rate[known] / (1 - rate[known])) - np.log(0.85 / 0.15)
                covered = ((low[known] <= 0.85) & (high[known] >= 0.85)).mean()
                cells.append(f"{np.sqrt(np.mean(error**2)):.3f}, {covered:.3f}")
            table.append([f"{tau:g}", str(own), *cells])
    return table


def _little_history(rng: np.random.Generator, groups: int, own: int, tau: float) -> tuple[I64, I64, I64, I64, I64]:
    medians = np.array([1 / 6, 3.0]) * HOUR_US
    slower = np.exp(rng.normal(0, tau, (groups, 2)))
    within = np.zeros((2 * groups, 2, delay.DELAY_BUCKETS), np.int64)
    for rows, count, factor in ((0, own, slower), (groups, 5_000, np.ones((groups, 2)))):
        success = rng.random((groups, count)) < 0.85
        for side in (0, 1):
            length = medians[side] * factor[:, side, None] * np.exp(rng.normal(0, 1.2, (groups, count)))
            bucket = delay.delay_bucket(length.astype(np.int64))
            group, place = np.nonzero((success == side) & (bucket <= delay.SETTLED))
            np.add.at(within[:, side], (rows + group, bucket[group, place]), 1)
    age = (rng.random((groups, 600)) * 6 * HOUR_US).astype(np.int64)
    good = rng.random(age.shape) < 0.85
    length = np.take_along_axis(medians * slower, good.astype(int), axis=1) * np.exp(rng.normal(0, 1.2, age.shape))
    known = (rng.random(age.shape) < 0.5) & (length < age)
    return within, np.cumsum(within, axis=-1), age, (known & good).sum(axis=1), (known & ~good).sum(axis=1)


def _estimated(within: I64, through: I64, age: I64, successes: I64, failures: I64, weight: float) -> tuple[F64, ...]:
    groups, calls = age.shape
    task = np.tile(np.arange(groups), 2)
    history = shrunken(within, through, task, weight)
    row = np.repeat(np.arange(groups), calls)
    each = expected(history, row, np.ones(row.shape, np.int64), age.ravel())
    sums = type(each)(*(part.reshape(groups, calls).sum(axis=1) for part in each))
    of = (history.weight[0][:groups], history.weight[1][:groups])
    return tuple(correct(successes, failures, np.full(groups, calls), sums, of)[:3])


def printed(table: list[list[str]]) -> str:
    """A table in Markdown; its first row names the columns."""
    lines = [table[0], ["---"] * len(table[0]), *table[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print tables, then figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="10,000 groups per setting instead of 1,000")
    size = "full" if parser.parse_args(arguments).full else "ci"
    numbers, table = figures(size)
    print(printed(table))
    print()
    print(printed(weights(GROUPS[size] // 2)))
    print()
    for name, value in numbers.items():
        print(f"{name} {value:g}")


if __name__ == "__main__":
    main()
