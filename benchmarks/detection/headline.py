"""Measures how far the estimate of an alarm is off, as the outcomes are and with their selection allowed for.

    python -m benchmarks.detection.headline [--groups 400]

A drop (or rise) comes at any hour after two weeks; the detector reads outcomes by the hour, at the default promise. Of
each group's first alarm in that direction: the estimated change over the true one (mean; of the fifth of the alarms
with the fewest outcomes, those that came early), the root mean square of what it is off, and how often the interval of
99 % has the true change.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any, Final, NamedTuple

import numpy as np

from models.alarms.alarm import Alarm
from models.arrays import F64
from models.drift import DriftSettings, SuccessRateDetector
from models.messages import NO_VALUES, Closed, TrialDeltas
from models.stats.effect_size import Effect, standardised_effect

_SEED: Final = 29
_START: Final = 29_000_160  # a midnight, in minutes since 1970
_DAYS_BEFORE, _DAYS_AFTER = 14, 28
_MINUTE_US: Final = 60_000_000


class Change(NamedTuple):
    """Success rates before and after, and outcomes a day."""

    before: float
    after: float
    per_day: int


CHANGES: Final = (
    Change(0.9, 0.85, 300),
    Change(0.9, 0.85, 1000),
    Change(0.9, 0.8, 100),
    Change(0.9, 0.8, 1000),
    Change(0.9, 0.7, 30),
    Change(0.9, 0.7, 1000),
    Change(0.9, 0.4, 30),
    Change(0.9, 0.4, 300),
    Change(0.287, 0.54, 20),
    Change(0.287, 0.54, 100),
)


def table(groups: int, changes: tuple[Change, ...] = CHANGES) -> list[dict[str, Any]]:
    """A row per change."""
    return [row(change, groups, number) for number, change in enumerate(changes)]


def row(change: Change, groups: int, number: int) -> dict[str, Any]:
    """What the first alarms of `groups` groups say of a change, before and since their selection is allowed for."""
    alarms = first_alarms(change, groups, np.random.default_rng([_SEED, number]))
    counts = [tuple(alarm.evidence[name] for name in _COUNTS) for alarm in alarms]
    outcomes = np.array([one[3] for one in counts])
    early = outcomes <= np.quantile(outcomes, 0.2)
    found: dict[str, Any] = {**change._asdict(), "alarms": len(alarms), "outcomes": float(np.median(outcomes))}
    for name, selected in (("plain", False), ("shipped", True)):
        effects = [_effect(one, change, selected=selected) for one in counts]
        found |= {f"{name}_{what}": value for what, value in _quality(effects, change, early).items()}
    return found


_COUNTS: Final = ("failures_before", "trials_before", "failures_since", "trials_since")


def _effect(counts: tuple[float, ...], change: Change, *, selected: bool) -> Effect:
    f0, n0, f1, n1 = (np.array([one]) for one in counts)
    way = None if not selected else "down" if change.after < change.before else "up"
    effect = standardised_effect((f0, n0), (f1, n1), way)  # type: ignore[arg-type]
    if effect is None:
        msg = "an alarm has outcomes before and since"
        raise ValueError(msg)
    return effect


def _quality(effects: list[Effect], change: Change, early: Any) -> dict[str, float]:
    true = change.after - change.before
    ratio: F64 = np.array([effect.points for effect in effects]) / true
    holds = np.array([effect.low <= true <= effect.high for effect in effects])
    return {
        "ratio": float(ratio.mean()),
        "early": float(ratio[early].mean()),
        "rms": float(np.sqrt(((ratio - 1) ** 2).mean())),
        "covered": float(holds.mean()),
        "covered_early": float(holds[early].mean()),
    }


def first_alarms(change: Change, groups: int, rng: np.random.Generator) -> list[Alarm]:
    """The first alarm of each group after the change, in its direction; without those that had one before."""
    names = [(f"{number:06}", "model", "default") for number in range(groups)]
    hour = rng.integers(0, 24, groups) + _DAYS_BEFORE * 24
    detector, found = SuccessRateDetector(DriftSettings(warmup_us=0)), dict[str, Alarm]()
    direction = "down" if change.after < change.before else "up"
    for now in range((_DAYS_BEFORE + _DAYS_AFTER) * 24):
        trials = rng.poisson(change.per_day / 24, groups)
        successes = rng.binomial(trials, np.where(now >= hour, change.after, change.before))
        for alarm in detector.close(_closed(now, names, trials, successes)):
            task, model, _ = alarm.series[1]
            if model is not None and alarm.series[1][2] is not None:
                found.setdefault(task, alarm)
    late = [alarm for task, alarm in found.items() if alarm.at > (_START + int(hour[int(task)]) * 60) * _MINUTE_US]
    return [alarm for alarm in late if alarm.direction == direction]


def _closed(hour: int, names: list[tuple[str, str, str]], trials: Any, successes: Any) -> Closed:
    rows = np.flatnonzero(trials)
    ok, bad = (column[rows].astype(np.int32) for column in (successes, trials - successes))
    minute = np.full(len(rows), _START + hour * 60 + 30, np.int32)
    deltas = TrialDeltas(rows.astype(np.int32), minute, ok, bad, ok, bad, np.zeros(len(rows), np.int32))
    return Closed(_START + hour * 60 + 60, names, deltas, NO_VALUES)


def render(rows: list[dict[str, Any]]) -> str:
    """The table of docs/statistics.md."""
    lines = [
        "| change | a day | outcomes | mean: as they are | shipped | early alarms | | r.m.s. | | covered | |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        cells = [f"{one['before']:g} to {one['after']:g}", f"{one['per_day']}", f"{one['outcomes']:,.0f}"]
        for what in ("ratio", "early", "rms", "covered"):
            cells += [f"{one[f'{name}_{what}']:.2f}" for name in ("plain", "shipped")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--groups", type=int, default=400)
    sys.stdout.write(render(table(parser.parse_args().groups)) + "\n")
