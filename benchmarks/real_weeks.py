"""Compares the corrected rate of a week with its final rate: `make bench-weeks`.

    python -m benchmarks.real_weeks [--write]

The pull requests of `aidev_pop_dev` are merged, closed or reviewed minutes to months later. At the end of every week of
its history the rate tables are built from the outcomes known by then, and the rates of the week that has just ended and
of older ones are read from them; these are compared with the rate that each week has at the end of the record.
`--write` renews the section in docs/results.md and benchmarks/results/weeks.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aftercall.times import HOUR_US
from benchmarks import report
from benchmarks.coverage import apply_calls, printed
from benchmarks.real_sets import DATA
from models.arrays import I64, Bools
from models.rates import RateCells, RateTable
from models.stats.intervals import wilson

NAME = "aidev_pop_dev"
WEEK_US = 168 * HOUR_US
MONDAY_US = 4 * 24 * HOUR_US
"""The first Monday of 1970, in µs."""
AGES = (0, 7, 14, 28)
"""Days from the end of a week to the moment at which its rate is read."""
LEAST = 20
"""Calls that a group must have in a week for its rate to be read."""
SETTLED_DAYS = 30
"""Age in days from which the rate of a week counts as final: 99 % of the verdicts arrive earlier."""
MATURE_DAYS = 3
PRECEDENCE = ("pr_merged", "pr_closed_unmerged")
ALL = "all"

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class History:
    """Calls in order of time, and all statements about them, `rank` by precedence. Times in µs."""

    names: list[tuple[str, str, str]]
    code: I64
    at: I64
    call: I64
    stated_at: I64
    rank: I64
    success: Bools

    @property
    def end(self) -> int:
        """The last moment of the record."""
        return int(max(self.at.max(), self.stated_at.max()))

    def known(self, moment: int) -> tuple[Bools, I64]:
        """The verdict of every call at `moment`, and how long it took in µs; -1 without a verdict."""
        stated = np.flatnonzero(self.stated_at <= moment)
        # The last assignment wins: the newest statement of the first source in the precedence.
        order = stated[np.lexsort((self.stated_at[stated], -self.rank[stated]))]
        good, slow = np.zeros(len(self.at), bool), np.full(len(self.at), -1, np.int64)
        good[self.call[order]] = self.success[order]
        slow[self.call[order]] = np.maximum(self.stated_at[order] - self.at[self.call[order]], 0)
        return good, slow


@dataclass(frozen=True)
class Estimate:
    """Rates of `group` for the week that ended at `week_end` (µs), read `age` days later, and the final rate."""

    group: tuple[str, str]
    week_end: int
    age: int
    calls: int
    maturity: float
    final: float
    naive: Triple
    mature: Triple
    corrected: Triple


def read(folder: Path) -> History:
    """Read the record; every call is in it twice, under its task type and under `all`."""

    def frame(name: str) -> pl.DataFrame:
        time = pl.col("occurred_at").str.to_datetime(time_unit="us", time_zone="UTC").dt.epoch("us")
        return pl.read_ndjson(folder / name).with_columns(at=time).sort("at", maintain_order=True)

    calls, outcomes = frame("calls.jsonl").with_row_index("call"), frame("outcomes.jsonl")
    joined = outcomes.join(calls.select("call_id", "call"), on="call_id", how="inner", maintain_order="left")
    ranks = {source: rank for rank, source in enumerate(PRECEDENCE)}
    rank = np.array([ranks.get(source, len(PRECEDENCE)) for source in joined["source"]], np.int64)
    success = np.array([bool(value) for value in joined["success"]])
    pairs = [[(task, model, "unknown") for task, model in calls.select("task_type", "model").rows()]]
    pairs.append([(ALL, model, config) for _, model, config in pairs[0]])
    names = sorted({name for side in pairs for name in side})
    code = {name: i for i, name in enumerate(names)}
    call, stated_at = joined["call"].to_numpy().astype(np.int64), joined["at"].to_numpy().astype(np.int64)
    return History(
        names,
        np.array([code[name] for side in pairs for name in side], np.int64),
        np.tile(calls["at"].to_numpy().astype(np.int64), 2),
        np.concatenate((call, call + len(calls))),
        np.tile(stated_at, 2),
        np.tile(rank, 2),
        np.tile(success, 2),
    )


def estimates(history: History) -> list[Estimate]:
    """Read the rates at the end of every week, for every group with at least `LEAST` calls and a final rate."""
    good, slow = history.known(history.end)
    first = (int(history.at.min()) - MONDAY_US) // WEEK_US * WEEK_US + MONDAY_US
    found: list[Estimate] = []
    for now in range(first + WEEK_US, history.end + 1, WEEK_US):
        cells = _cells(history, now)
        for age in AGES:
            end = now - age * 24 * HOUR_US
            if end > first and end <= history.end - SETTLED_DAYS * 24 * HOUR_US:
                found += _read_rates(history, cells, end, age, (good, slow))
    return found


def _cells(history: History, now: int) -> RateCells:
    made = history.at < now
    good, slow = history.known(now - 1)
    cells = RateCells()
    apply_calls(cells, history.names, history.code[made], history.at[made], good[made], slow[made])
    cells.advance(now, int(history.at[made].max()))
    return cells


def _read_rates(history: History, cells: RateCells, end: int, age: int, final: tuple[Bools, I64]) -> Iterable[Estimate]:
    hourly, current = cells.tables(end, live=False)
    good, slow = final
    week = (history.at >= end - WEEK_US) & (history.at < end)
    now = end + age * 24 * HOUR_US
    ripe = (hourly["grain"] == "1h") & (hourly["window_start"] >= end - WEEK_US) & (hourly["window_start"] < end)
    ripe &= hourly["window_start"] <= now - (MATURE_DAYS * 24 + 1) * HOUR_US
    for i in np.flatnonzero((current["span"] == "7d") & (current["calls"] >= LEAST)).tolist():
        task, model = current["task_type"][i], current["model"][i]
        of_group = week & (history.code == history.names.index((task, model, current["config"][i])))
        resolved = of_group & (slow >= 0)
        if not resolved.any():
            continue
        rows = ripe & (hourly["task_type"] == task) & (hourly["model"] == model)
        successes, trials = int(hourly["successes"][rows].sum()), int(hourly["resolved"][rows].sum())
        low, high = wilson(successes, trials)
        yield Estimate(
            (task, model),
            end,
            age,
            int(current["calls"][i]),
            float(current["maturity"][i]),
            float(good[resolved].mean()),
            _triple(current, i, "rate", "rate_low", "rate_high"),
            (successes / trials if trials else float("nan"), float(low), float(high)),
            _triple(current, i, "corrected_rate", "corrected_low", "corrected_high"),
        )


def _triple(table: RateTable, row: int, rate: str, low: str, high: str) -> Triple:
    return float(table[rate][row]), float(table[low][row]), float(table[high][row])


HEADER = [
    "groups",
    "days after the week",
    "weeks",
    "naive: bias",
    "error",
    "coverage",
    "older than 3 d: bias",
    "error",
    "coverage",
    "corrected: bias",
    "error",
    "coverage",
    "with corrected rate",
]


def summary(found: Sequence[Estimate]) -> list[list[str]]:
    """Bias, mean absolute error (in points) and coverage; a table whose first row names the columns."""
    table = [HEADER]
    for title, whole in (("by model", True), ("by task type and model", False)):
        for age in AGES:
            chosen = [estimate for estimate in found if estimate.age == age and (estimate.group[0] == ALL) == whole]
            if not chosen:
                continue
            cells = [title, str(age), str(len(chosen))]
            for name in ("naive", "mature", "corrected"):
                cells += _scores(chosen, name)
            corrected = sum(not np.isnan(estimate.corrected[0]) for estimate in chosen)
            table.append([*cells, str(corrected)])
    return table


def _scores(chosen: Sequence[Estimate], name: str) -> list[str]:
    pairs = [(getattr(one, name), one.final) for one in chosen if not np.isnan(getattr(one, name)[0])]
    if not pairs:
        return ["", "", ""]
    errors = np.array([100 * (rate[0] - final) for rate, final in pairs])
    covered = [rate[1] <= final <= rate[2] for rate, final in pairs]
    return [f"{errors.mean():+.1f}", f"{np.abs(errors).mean():.1f}", f"{np.mean(covered):.2f}"]


def figures(found: Sequence[Estimate]) -> dict[str, float]:
    """The figures that are compared between runs: by model, at the end of the week."""
    chosen = [one for one in found if one.age == 0 and one.group[0] == ALL and not np.isnan(one.corrected[0])]
    out: dict[str, float] = {"weeks": len(chosen)}
    for name in ("naive", "corrected"):
        errors = np.array([getattr(one, name)[0] - one.final for one in chosen])
        covered = [getattr(one, name)[1] <= one.final <= getattr(one, name)[2] for one in chosen]
        out |= {
            f"{name}_bias": round(float(errors.mean()), 4),
            f"{name}_abs_error": round(float(np.abs(errors).mean()), 4),
            f"{name}_coverage": round(float(np.mean(covered)), 4),
        }
    return out


def weekly(found: Sequence[Estimate]) -> list[list[str]]:
    """Every week of every model with the rates read at its end; marks where the interval misses the final rate."""
    table = [["model", "week to", "calls", "mature", "rate at its end", "corrected", "95 %", "finally", "error", ""]]
    for estimate in sorted(found, key=lambda one: (one.group, one.week_end)):
        if estimate.age or estimate.group[0] != ALL:
            continue
        day = f"{datetime.fromtimestamp(estimate.week_end / 1e6, UTC):%Y-%m-%d}"
        (rate, low, high), naive, final = estimate.corrected, estimate.naive[0], estimate.final
        cells = [estimate.group[1], day, f"{estimate.calls:,}"]
        if np.isnan(rate):
            table.append([*cells, "", _percent(naive), "none yet", "", _percent(final), "", ""])
            continue
        interval, missed = f"{100 * low:.0f}-{100 * high:.0f}", not low <= final <= high
        cells += [f"{100 * estimate.maturity:.0f}", _percent(naive), _percent(rate), interval, _percent(final)]
        table.append([*cells, f"{100 * (rate - final):+.1f}", "missed" if missed else ""])
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


_TEXT = """## The rate of a week at its end, and its final rate

`make bench-weeks`, `benchmarks/results/weeks.json`. At the end of every week of aidev_pop_dev the rate tables were
built from the outcomes known by then, and the rates of the week just ended and of older ones were read. Bias and error
(mean, absolute) in points against the rate of the week at the end of the record, over weeks at least 30 days old there;
groups with at least 20 calls in the week. Coverage is the share of intervals that hold the final rate. "older than 3 d"
counts only calls of the week that are at least three days old, with Wilson's interval. A merge or a close outranks
reviews; pull requests that were never decided are in no rate."""
_LIMITS = """"with corrected rate": how many weeks had one. Why it misses: pull requests of one repository are decided
together, so weeks differ by more than chance, and intervals for independent calls are too narrow for some of them;
delays change from one month to the next (the distribution is that of all cohorts so far); in the first weeks the long
delays were still unknown; and reviews that approve count as a verdict until the merge or the close comes, whose delay
then replaces theirs. Once nearly all outcomes are in, the plain rate is as good or a little better."""


def markdown(found: Sequence[Estimate]) -> str:
    """The section of docs/results.md."""
    return "\n\n".join((_TEXT, printed(summary(found)), _LIMITS, printed(weekly(found)))) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read, compare, print; returns 0, also if the record is absent, which is printed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_weeks", description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="renew docs/results.md and benchmarks/results/weeks.json")
    options = parser.parse_args(arguments)
    if not (DATA / NAME).is_dir():
        print(f"bench-weeks: skipped, {DATA.name}/{NAME} is not beside this checkout")
        return 0
    history = read(DATA / NAME)
    found = estimates(history)
    print(markdown(found))
    numbers = figures(found)
    for name, value in numbers.items():
        print(f"{name} {value:g}")
    if options.write:
        report.renew_section("bench-weeks", markdown(found))
        sizes: dict[str, Any] = {"calls": len(history.at) // 2, "answers": len(found)}
        report.write("weeks", numbers, seed=0, sizes=sizes, details={"table": summary(found)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
