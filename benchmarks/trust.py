"""Measures how often `score_low` .. `score_high` holds the trust score that rates that are known would give.

    python -m benchmarks.trust [--full] [--seed N]

A call is bad or not, and a bad one is likely to fail in several dimensions at once; calls of a conversation are bad
together, and share what they fail in, with a probability of `together`; how far their verdicts agree is known, as the
drift step learns it. Half of the calls get a verdict, after some hours.
Task types have two models each and, where dimensions are missing, one half or the other of the contract dimensions.
Scores are those of `models.trust`, fed with closed hours; no formula is repeated here.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from aftercall.times import HOUR_US, MINUTES_PER_HOUR
from aftercall.trust_record import TRUST_WEIGHTS, TrustRecord
from models.arrays import F64, I64, Bools
from models.messages import NO_VALUES, Closed, ErrorTrials, Group, Responses, SharedTrials, TrialDeltas
from models.side_messages import CheckedRule, CheckTrials
from models.stats.dispersion import GRAIN
from models.stats.minute_delays import bucket_of
from models.trust import Trust, TrustSettings

START_H: Final = 24 * 20_000
EVERY_H: Final = 6
TASKS: Final = 12
HEADER: Final = ["situation", "groups hold", "tasks hold", "half width", "coverage"]
RUNS: Final = {"ci": 6, "full": 20}
_NAMES: Final = tuple(TRUST_WEIGHTS)
_CHECKED: Final = _NAMES[2:7]
_NEVER: Final = 2**40
_BAD: Final = np.array([0.60, 0.20, 0.50, 0.20, 0.10, 0.40, 0.40, 0.70])
_GOOD: Final = np.array([0.06, 0.01, 0.005, 0.04, 0.02, 0.02, 0.01, 0.10])
"""Probability to fail in each dimension."""


@dataclass(frozen=True)
class Situation:
    """One kind of traffic. `bad`: share of bad calls; `per_day`: calls of each group."""

    name: str
    bad: float = 0.05
    together: float = 0.0
    size: int = 1
    """Calls of a conversation."""
    missing: bool = False
    late_h: float = 3.0
    """Mean hours from a call to its verdict; twice as many for successes as for failures."""
    per_day: int = 300
    days: int = 28
    half_life_days: float = 10_000.0
    wanders: bool = False
    """Whether rates move from day to day, as far as makes the half-life the right one."""


SITUATIONS: Final = (
    Situation("each call alone fails in one dimension at a time", bad=0.0),
    Situation("bad calls fail in several"),
    Situation("conversations of 8, bad together", together=0.8, size=8),
    Situation("the same, dimensions missing", together=0.8, size=8, missing=True),
    Situation("the same, verdicts after 20 h", together=0.8, size=8, missing=True, late_h=20),
    Situation("30 calls a day, dimensions missing", missing=True, per_day=30),
    Situation("rates that wander, half-life 14 d", bad=0.0, days=84, half_life_days=14, wanders=True),
    Situation("rates that stand still, half-life 14 d", days=84, half_life_days=14),
)


@dataclass
class Found:
    """Of one situation: whether intervals held, by groups and whole task types; half widths and coverages."""

    groups: list[bool]
    wholes: list[bool]
    widths: list[float]
    coverages: list[float]


def figures(
    size: str, situations: Sequence[Situation] = SITUATIONS, seed: int = 1
) -> tuple[dict[str, float], list[list[str]]]:
    """Run all situations.

    Args:
        size: "ci" (6 runs of 24 groups each, two minutes) or "full" (20).
        situations: which.
        seed: of the runs; another one gives other runs.

    Returns:
        Figures by name, and the table without its header.
    """
    named, rows = dict[str, float](), list[list[str]]()
    for situation in situations:
        found = measured(situation, RUNS[size], seed)
        held = [float(np.mean(part)) for part in (found.groups, found.wholes)]
        named |= {f"{situation.name}: groups": held[0], f"{situation.name}: tasks": held[1]}
        width, coverage = (f"{np.mean(part):.{places}f}" for part, places in ((found.widths, 1), (found.coverages, 2)))
        rows.append([situation.name, f"{held[0]:.3f}", f"{held[1]:.3f}", width, coverage])
    return named, rows


def measured(situation: Situation, runs: int, seed: int = 1) -> Found:
    """What the last scores of runs with seeds of their own held."""
    found = Found([], [], [], [])
    for run in range(runs):
        _run(situation, np.random.default_rng((seed, run)), found)
    return found


def _run(situation: Situation, draw: np.random.Generator, found: Found) -> None:
    names: list[Group] = [(f"task-{at // 2:02}", "ab"[at % 2], "c") for at in range(2 * TASKS)]
    settings = TrustSettings(half_life_us=round(situation.half_life_days * 24 * HOUR_US))
    fails = _walks(situation, draw, len(names))
    last = _last_scores(Trust(settings), _closed_hours(situation, draw, names, fails), situation)
    rates = 1 - fails[-1]
    for at, name in enumerate(names):
        _judge(last[name], rates[at], found.groups)
        found.widths.append((last[name].score_high - last[name].score_low) / 2)  # type: ignore[operator]
        found.coverages.append(last[name].coverage)
    for task in range(TASKS):
        whole = (names[2 * task][0], None, None)
        _judge(last[whole], rates[2 * task : 2 * task + 2].mean(axis=0), found.wholes)


def _judge(record: TrustRecord, rates: F64, held: list[bool]) -> None:
    weight = np.zeros(len(_NAMES))
    for part in record.dimensions:
        if part.rate is not None:
            weight[_NAMES.index(part.dimension)] = part.weight
    truth = 1000 * (weight * rates).sum() / weight.sum()
    assert record.score_low is not None, "every group has evidence at the end"
    assert record.score_high is not None, "and so has an interval"
    held.append(record.score_low <= truth <= record.score_high)


def _last_scores(
    trust: Trust, hours: Sequence[Closed], situation: Situation
) -> dict[tuple[str | None, ...], TrustRecord]:
    end = (START_H + 24 * situation.days) * MINUTES_PER_HOUR
    records = [record for closed in hours for record in trust.close(closed)]
    records += trust.close(Closed(end, [], TrialDeltas(*(np.zeros(0, np.int32),) * 7), NO_VALUES))
    return {(record.task_type, record.model, record.config): record for record in records}


def _walks(situation: Situation, draw: np.random.Generator, groups: int) -> F64:
    """Probability of a call to fail in each dimension, shape (days, groups, 8)."""
    fail = situation.bad * _BAD + (1 - situation.bad) * _GOOD
    fails = np.tile(fail, (situation.days, groups, 1))
    if situation.wanders:
        kept = 2 ** (-1 / situation.half_life_days)
        checked = situation.per_day * np.where(np.isin(_NAMES, ("accuracy", "acceptance")), 0.5, 1.0)
        step = np.sqrt(fail * (1 - fail) / checked * (1 - kept) ** 2 / kept)
        fails += np.cumsum(draw.normal(0, step, fails.shape), axis=0)
    return np.clip(fails, 0.0005, 0.9995)


@dataclass
class _Day:
    """Calls of all groups on one day, shape (n,); `failed`: shape (n, 8)."""

    group: I64
    hour: I64
    failed: Bools


def _calls(situation: Situation, draw: np.random.Generator, fail: F64) -> _Day:
    conversations = situation.per_day // situation.size
    groups, size = len(fail), situation.size
    group = np.repeat(np.arange(groups), conversations)
    hour = draw.integers(24 // EVERY_H, size=len(group)) * EVERY_H
    leader = draw.random((len(group), 1, len(_NAMES)))
    own = draw.random((len(group), size, len(_NAMES)))
    follows = draw.random((len(group), size, 1)) < situation.together
    bad = np.where(follows, draw.random((len(group), 1, 1)), draw.random((len(group), size, 1))) < situation.bad
    if situation.bad:
        failed = np.where(follows, leader, own) < np.where(bad, _BAD, _GOOD)
    else:
        failed = own < fail[group][:, None, :]
    return _Day(np.repeat(group, size), np.repeat(hour, size), failed.reshape(-1, len(_NAMES)))


def _closed_hours(situation: Situation, draw: np.random.Generator, names: list[Group], fails: F64) -> list[Closed]:
    """What closes every `EVERY_H` hours."""
    slots = situation.days * 24 // EVERY_H
    calls = np.zeros((slots, len(names)), np.int64)
    failed = np.zeros((slots, len(names), len(_NAMES)), np.int64)
    verdicts = np.zeros((slots, len(names), 2, slots), np.int32)
    pairs = np.zeros((slots, len(names)), np.int64)
    for day in range(situation.days):
        of_day = _calls(situation, draw, fails[day])
        slot = (day * 24 + of_day.hour) // EVERY_H
        np.add.at(calls, (slot, of_day.group), 1)
        np.add.at(failed, (slot, of_day.group), of_day.failed)
        good = ~of_day.failed[:, 0]
        answered = draw.random(len(good)) < 0.5
        late = draw.exponential(situation.late_h * np.where(good, 4 / 3, 2 / 3)) // EVERY_H
        at = slot + late.astype(np.int64)
        kept = answered & (at < slots)
        np.add.at(verdicts, (at[kept], of_day.group[kept], good[kept].astype(int), late[kept].astype(int)), 1)
        _count_pairs(pairs, of_day.group, np.where(kept, at, _NEVER), situation.size)
    excess = np.rint(GRAIN * situation.together**2 * pairs).astype(np.int64)
    return [
        _closed(situation, names, slot, calls[slot], failed[slot], verdicts[slot])._replace(
            shared=_shared(slot, excess[slot])
        )
        for slot in range(slots)
    ]


def _count_pairs(pairs: I64, group: I64, slot: I64, size: int) -> None:
    """Ordered pairs of verdicts of one conversation, in the slot of the later one."""
    slots, groups = slot.reshape(-1, size), group.reshape(-1, size)[:, 0]
    for one, other in combinations(range(size), 2):
        later = np.maximum(slots[:, one], slots[:, other])
        both = later < _NEVER
        np.add.at(pairs, (later[both], groups[both]), 2)


def _shared(slot: int, excess: I64) -> SharedTrials:
    code = np.arange(len(excess), dtype=np.int32)
    return SharedTrials(code, np.full(len(excess), _minute(slot), np.int32), excess)


def _minute(slot: int) -> int:
    return (START_H + slot * EVERY_H) * MINUTES_PER_HOUR


def _closed(
    situation: Situation, names: list[Group], slot: int, calls: I64, failed: I64, verdicts: np.ndarray
) -> Closed:
    minute = _minute(slot)
    code = np.arange(len(names), dtype=np.int32)
    at = np.full(len(names), minute, np.int32)
    bad, good = (verdicts[:, success].sum(axis=1).astype(np.int32) for success in (0, 1))
    trials = TrialDeltas(code, at, good, bad, good, bad, calls.astype(np.int32))
    return Closed(
        minute + MINUTES_PER_HOUR,
        names,
        trials,
        NO_VALUES,
        sources=("judge", "user_feedback"),
        responses=_responses(minute, verdicts, calls, failed[:, -1]),
        rules=tuple(CheckedRule("all", "1", name, name) for name in _CHECKED),
        checks=_checks(situation, minute, calls, failed),
        errors=("timeout",),
        failed=ErrorTrials(code, at, 0 * code, failed[:, _NAMES.index("reliability")].astype(np.int32)),
    )


def _responses(minute: int, verdicts: np.ndarray, calls: I64, unhappy: I64) -> Responses:
    """Verdicts by a judge, and what users say, here of every call at once."""
    group, success, late = (part.astype(np.int32) for part in verdicts.nonzero())
    count = verdicts[group, success, late]
    every = np.repeat(np.arange(len(calls), dtype=np.int32), 2)
    said = np.stack((unhappy, calls - unhappy), axis=1).reshape(-1).astype(np.int32)
    kinds = np.tile(np.array([0, 1], np.int8), len(calls))
    none, zeros = np.zeros(len(group), np.int32), np.zeros(len(every), np.int32)
    return Responses(
        np.concatenate((group, every)),
        np.full(len(group) + len(every), minute, np.int32),
        np.concatenate((none, zeros + 1)),
        np.concatenate((success.astype(np.int8), kinds)),
        np.concatenate((bucket_of(late * EVERY_H * MINUTES_PER_HOUR), zeros.astype(np.int16))),
        np.concatenate((none, said)),
        np.concatenate((count.astype(np.int32), zeros)),
    )


def _checks(situation: Situation, minute: int, calls: I64, failed: I64) -> CheckTrials:
    parts = []
    for rule, name in enumerate(_CHECKED):
        group = np.arange(len(calls))
        if situation.missing:
            group = group[(group // 2 + rule) % 2 == 0]
        broken = failed[group, _NAMES.index(name)]
        parts.append((group, 0 * group + minute, 0 * group + rule, calls[group] - broken, broken))
    return CheckTrials(*(np.concatenate(column).astype(np.int32) for column in zip(*parts, strict=True)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help=f"{RUNS['full']} runs in place of {RUNS['ci']}")
    parser.add_argument("--seed", type=int, default=1, help="of the runs")
    given = parser.parse_args(arguments)
    _, rows = figures("full" if given.full else "ci", seed=given.seed)
    for row in [HEADER, *rows]:
        print(" | ".join(row))


if __name__ == "__main__":
    main()
