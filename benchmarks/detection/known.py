"""Measures the test at a known moment: false alarms over those it pays for, and how soon it finds a change.

    python -m benchmarks.detection.known [--arms 2000]

An arm begins at a minute of its own, and takes over a part of the traffic of the arm that it is held against, or all of
it. It is looked at after so many trials (`LOOK_LEVELS`), in batches of ten minutes, by the code that is shipped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from benchmarks.detection.promise import poisson_upper
from models.arrays import F64, I64
from models.stats.agreement import effective
from models.stats.alpha_account import LOOK_LEVELS, MOST_ALPHA, OF_FALLS
from models.stats.two_samples import ArmHours, compared

_SEED: Final = 33
_PER_HOUR: Final = 6
"""Batches."""
_PER_DAY: Final = 24 * _PER_HOUR
_DAYS_AFTER: Final = 10


class Stream(NamedTuple):
    """How outcomes vary of themselves, and the correlations that are taken for it.

    Attributes:
        day, hour: intra-class correlations of days and of hours.
        cycle: a day's rate is so much higher at one time, and as much lower twelve hours later.
        session: trials of a session, of which each has the session's verdict with probability .7.
        assumed: correlation of days, and of hours, that the test takes them for.
    """

    day: float = 0.0
    hour: float = 0.0
    cycle: float = 0.0
    session: int = 1
    assumed: float = 0.005


STREAMS: Final = {
    "independent": Stream(),
    "independent, known to be": Stream(assumed=0.00003),
    "days ICC .005": Stream(day=0.005),
    "hours ICC .005": Stream(hour=0.005),
    "day cycle +-2 points": Stream(cycle=0.02),
    "sessions of 10, ICC .49": Stream(session=10),
}


class Traffic(NamedTuple):
    """Of the arm before: trials a day, and days of history; part of it that the new arm takes over."""

    per_day: float
    days: float
    taken: float


TRAFFIC: Final = tuple(
    Traffic(per_day, days, taken) for per_day in (30, 300, 3000) for days in (0.5, 3, 14) for taken in (0.1, 1.0)
)


def arm(rng: np.random.Generator, stream: Stream, traffic: Traffic, p: float, change: float) -> tuple[F64, F64]:
    """Failures and trials per batch of both arms, shape (2, batches) each.

    `p`: the failure rate, and `change` by how much it is greater for the new arm.
    """
    first = int(rng.integers(0, _PER_DAY))
    begin = first + round(traffic.days * _PER_DAY)
    batches = begin + _DAYS_AFTER * _PER_DAY
    at = np.arange(batches)
    rate = p + np.sqrt(p * (1 - p) * stream.day) * rng.standard_normal(batches // _PER_DAY + 1)[at // _PER_DAY]
    rate += np.sqrt(p * (1 - p) * stream.hour) * rng.standard_normal(batches // _PER_HOUR + 1)[at // _PER_HOUR]
    rate += stream.cycle * np.sin(2 * np.pi * (at / _PER_DAY + rng.random()))
    share = np.where(at < begin, 0.0, traffic.taken)
    per_batch = traffic.per_day / _PER_DAY / stream.session
    mean = np.where(at < first, 0.0, np.stack((1 - share, share)) * per_batch)
    sessions = rng.poisson(mean)
    rates = np.clip(np.stack((rate, rate + change)), 0, 1)
    if stream.session == 1:
        return rng.binomial(sessions, rates).astype(float), sessions.astype(float)
    # Each trial has its session's verdict with probability .7, else one of its own.
    failing = rng.binomial(sessions, rates)
    with_it = rng.binomial(failing * stream.session, 0.7)
    alone = failing * stream.session - with_it + rng.binomial((sessions - failing) * stream.session, 0.3)
    failures = with_it + rng.binomial(alone, rates)
    weight = float(effective(np.array([stream.session]), 0.49)[0]) / stream.session
    counts = np.stack((failures, sessions * stream.session)).astype(np.float64) * weight
    return counts[0], counts[1]


def looks(failures: F64, trials: F64, assumed: float) -> Iterator[tuple[int, float, float]]:
    """Of each look: trials since the moment, and the p-values that the arm is worse, and better."""
    seen = np.cumsum(trials[1])
    ends = sorted({int(np.searchsorted(seen, level)) for level in LOOK_LEVELS if level <= seen[-1]})
    hour = np.arange(len(seen)) // _PER_HOUR
    for end in ends:
        now = slice(0, end + 1)
        before, since = (_hourly(hour[now], failures[side, now], trials[side, now]) for side in (0, 1))
        found = compared(before, since, assumed, assumed)
        if found is not None:
            yield round(seen[end]), found.worse, found.better


def _hourly(hour: I64, failures: F64, trials: F64) -> ArmHours:
    f, n = (np.bincount(hour, column).astype(np.float64) for column in (failures, trials))
    (some,) = (n > 0).nonzero()
    return ArmHours(some, f[some], n[some])


def false_alarms(arms: int) -> None:
    """Print false alarms over what their looks were given, of arms that are as good as the one before."""
    print("| stream | alpha of a look | paid | false alarms | ratio (95 % bound) |\n|---|---|---|---|---|")
    for number, (name, stream) in enumerate(STREAMS.items()):
        paid, alarms = {MOST_ALPHA: 0.0, 10 * MOST_ALPHA: 0.0}, {MOST_ALPHA: 0, 10 * MOST_ALPHA: 0}
        for place in range(arms):
            rng = np.random.default_rng([_SEED, number, place])
            traffic = TRAFFIC[place % len(TRAFFIC)]
            failures, trials = arm(rng, stream, traffic, rng.choice((0.05, 0.1, 0.4)), 0.0)
            p = [found[1:] for found in looks(failures, trials, stream.assumed)]
            for alpha in paid:
                hits = [worse <= OF_FALLS * alpha or better <= (1 - OF_FALLS) * alpha for worse, better in p]
                alarms[alpha] += any(hits)
                paid[alpha] += alpha * (hits.index(True) + 1 if any(hits) else len(hits))
        for alpha, sum_paid in paid.items():
            ratio, bound = alarms[alpha] / sum_paid, poisson_upper(alarms[alpha]) / sum_paid
            print(f"| {name} | {alpha} | {sum_paid:.1f} | {alarms[alpha]} | {ratio:.2f} ({bound:.2f}) |", flush=True)


def power(arms: int) -> None:
    """Print the share of arms whose change is found within so many calls, and the median number."""
    within = (50, 100, 200, 500, 1000)
    print("\n| arm before | drop | alpha of a look | " + " | ".join(f"{n} calls" for n in within) + " | median |")
    print("|---" * (len(within) + 4) + "|")
    for before in (100, 1000):
        for drop in (0.1, 0.2, 0.4):
            found: dict[float, list[float]] = {MOST_ALPHA: [], MOST_ALPHA / 10: []}
            for place in range(arms):
                rng = np.random.default_rng([_SEED, 99, place])
                traffic = Traffic(300, before / 300, 1.0)
                failures, trials = arm(rng, STREAMS["independent"], traffic, 0.1, drop)
                seen = list(looks(failures, trials, 0.005))
                for alpha, calls in found.items():
                    calls.append(next((n for n, worse, _ in seen if worse <= OF_FALLS * alpha), np.inf))
            for alpha, calls in found.items():
                shares = " | ".join(f"{np.mean(np.array(calls) <= n):.2f}" for n in within)
                print(f"| {before} | {100 * drop:.0f} | {alpha:g} | {shares} | {np.median(calls):.0f} |", flush=True)


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arms", type=int, default=2000, help="arms per stream")
    options = parser.parse_args()
    false_alarms(options.arms)
    power(max(options.arms // 10, 20))
    return 0


if __name__ == "__main__":
    sys.exit(main())
