"""Measures how soon it is noticed that less of one arm is answered than was, and how often for nothing.

python -m benchmarks.detection.arm_answers
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from models.alarms.alarm import Alarm
from models.arrays import F64, I64, Bools
from models.drift import DriftSettings, MuteArms
from models.messages import NO_VALUES, Closed, Group, Responses, TrialDeltas
from models.stats.minute_delays import bucket_of

DAY: Final = 1440
START: Final = 20_139 * DAY
"""A Thursday, in minutes since 1970."""
ARMS: Final = 3
"""Of each task type; the first may fall."""
TASKS, DAYS, QUIET_DAYS = 60, 38, 56
FALL: Final = 24 * DAY + 300
LEFT: Final = (0.25, 0.35, 0.5)
ANSWERS: Final = (0.5, 1, 2, 4, 8, 100)
"""Answers an hour of an arm: bounds of the classes of which figures are printed."""


class Stream(NamedTuple):
    """How answers vary: `nights` have a fifth of the calls; the share of a day differs by `days`, alike for all arms.

    `arms`: by what the share of a day differs of each arm.
    """

    name: str
    nights: bool = False
    days: float = 0.0
    arms: float = 0.0


STREAMS: Final = (
    Stream("steady"),
    Stream("day and night", nights=True),
    Stream("days differ by .35", days=0.35),
    Stream("days of each arm differ by .2", arms=0.2),
)


class Drawn(NamedTuple):
    """Names of the arms, their answers an hour, and what closes day by day."""

    names: list[Group]
    answers: F64
    closed: Iterator[Closed]


def drawn(stream: Stream, days: int, seed: int, left: F64, tasks: int = TASKS) -> Drawn:
    """2 to 60 calls an hour of an arm, of which 6 to 70 % are answered; `left`: of each arm's answers from FALL on."""
    rng, count = np.random.default_rng(seed), tasks * ARMS
    names = [(f"task-{row // ARMS:02}", "m", f"c{row % ARMS}") for row in range(count)]
    hourly = np.exp(rng.uniform(np.log(2), np.log(60), tasks)).repeat(ARMS)
    share = np.exp(rng.uniform(np.log(0.08), np.log(0.6), tasks)).repeat(ARMS) * rng.uniform(0.7, 1.2, count)
    waits = np.exp(rng.uniform(np.log(10), np.log(600), tasks)).repeat(ARMS)
    daily = _daily(rng, stream.days, (tasks, days)).repeat(ARMS, axis=0) * _daily(rng, stream.arms, (count, days))
    return Drawn(names, hourly * share, _closed(stream, rng, (hourly, share[:, None] * daily, waits), left, names))


def _daily(rng: np.random.Generator, by: float, shape: tuple[int, int]) -> F64:
    return rng.gamma(1 / by**2, by**2, shape) if by else np.ones(shape)


def _closed(
    stream: Stream, rng: np.random.Generator, rates: tuple[F64, F64, F64], left: F64, names: list[Group]
) -> Iterator[Closed]:
    hourly, shares, waits = rates
    minute, waiting = np.arange(DAY), np.zeros((3, 0), np.int64)
    night = stream.nights & ((minute // 60 < 8) | (minute // 60 >= 20))
    for day in range(shares.shape[1]):
        calls = rng.poisson(hourly[:, None] / 60 * np.where(night, 0.2, 1.0))
        arm, at = (np.repeat(each, calls.ravel()) for each in np.indices(calls.shape).reshape(2, -1))
        at += day * DAY
        answered = rng.random(len(arm)) < shares[arm, day] * np.where(at >= FALL, left[arm], 1.0)
        arm, at = arm[answered], at[answered]
        wait = np.exp(rng.normal(np.log(waits[arm]), 1.2)).astype(np.int64)
        waiting = np.concatenate((waiting, np.stack((at + wait, arm, wait))), axis=1)
        over = waiting[0] < (day + 1) * DAY
        yield _message(day, calls, waiting[:, over], names)
        waiting = waiting[:, ~over]


def _message(day: int, calls: I64, said: I64, names: list[Group]) -> Closed:
    code, minute = np.nonzero(calls)
    none = np.zeros(len(code), np.int32)
    counts = calls[code, minute].astype(np.int32)
    at = (START + day * DAY + minute).astype(np.int32)
    trials = TrialDeltas(code.astype(np.int32), at, none, none, none, none, counts)
    stated, arm, wait = said[:, np.argsort(said[0], kind="stable")].astype(np.int32)
    one = np.ones(len(arm), np.int32)
    responses = Responses(arm, START + stated, 0 * one, one.astype(np.int8), bucket_of(wait), one, one)
    return Closed(START + (day + 1) * DAY, names, trials, NO_VALUES, ("user_feedback",), responses=responses)


def alarms(traffic: Drawn, promise: float = 1.0) -> list[Alarm]:
    """Those that open."""
    detector = MuteArms(DriftSettings(false_alarms_per_1000_groups_per_week=promise))
    return [one for closed in traffic.closed for one in detector.close(closed) if one.ends is None]


def found(stream: Stream, left: float, seed: int = 7) -> tuple[F64, F64, int]:
    """Answers an hour of arms that fall, hours until each is noticed (inf: not), and alarms on others."""
    falls: Bools = np.arange(TASKS * ARMS) % ARMS == 0
    traffic = drawn(stream, DAYS, seed, np.where(falls, left, 1.0))
    hours, others = np.full(len(falls), np.inf), 0
    for alarm in alarms(traffic):
        row, after = traffic.names.index(alarm.series[1]), alarm.at / 3.6e9 - (START + FALL) / 60  # type: ignore[arg-type]
        if falls[row] and after > 0:
            hours[row] = min(hours[row], after)
        else:
            others += 1
    return traffic.answers[falls], hours[falls], others


def main() -> None:
    """Print some lines per stream."""
    for stream in STREAMS:
        none = np.ones(TASKS * ARMS)
        false = [len(alarms(drawn(stream, QUIET_DAYS, 1, none), promise)) for promise in (1.0, 30.0)]
        print(f"{stream.name}: false alarms at 1 and at 30 {false}", flush=True)
        for left in LEFT:
            answers, hours, others = found(stream, left)
            cells = []
            for low, high in pairwise(ANSWERS):
                some = hours[(answers >= low) & (answers < high)]
                cells.append(f"{low} to {high}: {np.isfinite(some).sum()} of {len(some)}, {np.median(some):.0f} h")
            print(f"  {left} left, by answers an hour: {'; '.join(cells)}; {others} on others", flush=True)


if __name__ == "__main__":
    main()
