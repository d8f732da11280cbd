"""How often routing restarts an arm that has not changed, and how soon one that has, beside the alarms.

`python -m benchmarks.routing.restarts`.

The real detector with default settings on minutes of trials, each in the minute of its call, beside the alarms of the
same run. One task type per arm, so that arms are independent. Stationary streams are independent trials, days that
vary (ICC .002), and a day cycle of +-2 points; the first week is not counted. Changes come after a week, and are found
within three days or count as three days.
"""

from __future__ import annotations

import argparse
from typing import Final, NamedTuple

import numpy as np

from aftercall.times import MINUTE_US, MINUTES_PER_DAY
from models.arrays import F64
from models.drift import Drift, DriftSettings
from models.messages import NO_VALUES, Closed, TrialDelays, TrialDeltas

START: Final = 20_000 * MINUTES_PER_DAY
WARM_DAYS: Final = 7
RATE: Final = 0.85
STREAMS: Final = ("independent", "days vary", "day cycle")
_MOST_HOURS: Final = 72.0


class Found(NamedTuple):
    """Minutes since the start at which arms were found, by arm, and in which direction."""

    restarts: list[tuple[int, int, str]]
    alarms: list[tuple[int, int, str]]


def run(rates: F64, calls_per_hour: float, seed: int) -> Found:
    """Run the detector, day by day, over success rates of shape (minutes, arms)."""
    rng = np.random.default_rng(seed)
    minutes, arms = rates.shape
    detector, found = Drift(DriftSettings()), Found([], [])
    names = [(f"task-{arm:04}", "model", "v1") for arm in range(arms)]
    for begin in range(0, minutes, MINUTES_PER_DAY):
        of_day = rates[begin : begin + MINUTES_PER_DAY]
        trials = rng.poisson(calls_per_hour / 60, of_day.shape)
        successes = rng.binomial(trials, of_day)
        minute, code = np.nonzero(trials)
        good = successes[minute, code].astype(np.int32)
        bad = trials[minute, code].astype(np.int32) - good
        at, arm_code = (START + begin + minute).astype(np.int32), code.astype(np.int32)
        both = np.stack((bad, good), axis=1).ravel()
        some = both > 0
        kinds = np.tile(np.array([0, 1], np.int8), len(at))[some]
        at_once = np.zeros(int(some.sum()), np.int16)
        delays = TrialDelays(np.repeat(arm_code, 2)[some], np.repeat(at, 2)[some], kinds, at_once, both[some])
        deltas = TrialDeltas(arm_code, at, good, bad, good, bad, good + bad)
        message = Closed(START + begin + len(of_day), names, deltas, NO_VALUES, delays=delays)
        for alarm in detector.close(message):
            if alarm.series[1][2] is not None and alarm.series[2] == "success_rate":
                found.alarms.append((int(alarm.series[1][0][5:]), alarm.at // MINUTE_US - START, alarm.direction))
        for restart in detector.restarts():
            found.restarts.append((int(restart.group[0][5:]), restart.at // MINUTE_US - START, restart.direction))
    return found


def stationary(stream: str, arms: int, days: int, seed: int) -> F64:
    """Rates of shape (minutes, arms)."""
    rng, minutes = np.random.default_rng(seed), days * MINUTES_PER_DAY
    rates = np.full((minutes, arms), RATE)
    if stream == "days vary":
        concentration = 1 / 0.002 - 1
        drawn = rng.beta(RATE * concentration, (1 - RATE) * concentration, (days, arms))
        rates = np.repeat(drawn, MINUTES_PER_DAY, axis=0)
    elif stream == "day cycle":
        rates += 0.02 * np.sin(2 * np.pi * np.arange(minutes) / MINUTES_PER_DAY)[:, None]
    return rates


def first_after(found: list[tuple[int, int, str]], arms: int, change: int, direction: str) -> F64:
    """Hours from the change until each arm is first found in a direction; at most `_MOST_HOURS`."""
    hours = np.full(arms, _MOST_HOURS)
    for arm, at, moved in found:
        if at > change and moved == direction:
            hours[arm] = min(hours[arm], (at - change) / 60)
    return hours


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", type=int, default=20)
    parser.add_argument("--weeks", type=int, default=2)
    options = parser.parse_args()
    arms, days = options.arms, WARM_DAYS + 7 * options.weeks
    print(f"Stationary, {arms} arms, {options.weeks} weeks after one: restarts and alarms per arm and week")
    worst = 0.0
    for stream in STREAMS:
        for calls in (1000, 100, 20):
            found = run(stationary(stream, arms, days, 1), calls, 2)
            counted = [
                sum(at > WARM_DAYS * MINUTES_PER_DAY for _, at, _ in one) / arms / options.weeks for one in found
            ]
            worst = max(worst, counted[0])
            print(f"{stream:12} {calls:5}/h  restarts {counted[0]:.3f}  alarms {counted[1]:.4f}")
    print(f"restarts_per_arm_week {worst:.3f}  (the worst of these lines)")
    print("Hours from a change after a week, mean (share found within three days): restart, alarm")
    change = WARM_DAYS * MINUTES_PER_DAY
    for name, before, after, per_hour in (
        ("drop of 10", RATE, RATE - 0.1, (1000, 100, 10)),
        ("collapse of 40", RATE, RATE - 0.4, (1000, 100, 10)),
        ("rise of 10", 0.8, 0.9, (500, 100, 10)),
    ):
        rates = np.full((change + 3 * MINUTES_PER_DAY, arms), before)
        rates[change:] = after
        for calls in per_hour:
            found = run(rates, calls, 3)
            direction = "up" if after > before else "down"
            hours = [first_after(one, arms, change, direction) for one in found]
            text = ", ".join(f"{one.mean():5.1f} ({100 * (one < _MOST_HOURS).mean():.0f} %)" for one in hours)
            print(f"{name:15} {calls:5}/h  {text}")


if __name__ == "__main__":
    main()
