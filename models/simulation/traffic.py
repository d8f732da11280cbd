"""Draw synthetic calls and statements with a known truth, as columns, from a seed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aftercall.times import DAY_US, MINUTE_US, MINUTES_PER_DAY
from models.arrays import F64, I64, Bools, Objects
from models.simulation.scenario import Scenario, SimTask

PASS_AT = 0.7


class SimCalls(NamedTuple):
    """One row per call, ascending in `at` (microseconds). `task`, `arm` index the scenario; `success` is the truth."""

    at: I64
    task: I64
    arm: I64
    success: Bools
    error: Bools
    latency_ms: F64
    cost_usd: F64
    tokens_in: I64
    tokens_out: I64
    ids: Objects


class SimOutcomes(NamedTuple):
    """One row per statement, ascending in `at`. `call` is -1 for orphans; `score` is nan where `success` is meant.

    `retracts`: row of the statement withdrawn, -1 for assertions, -2 for all of its source.
    """

    at: I64
    call: I64
    source: Objects
    success: Bools
    score: F64
    retracts: I64
    ids: Objects
    call_ids: Objects


class Traffic(NamedTuple):
    """Calls, outcomes, the moment of the incident (microseconds; None without one), and how many ledgers are odd."""

    calls: SimCalls
    outcomes: SimOutcomes
    changed_at: int | None
    reopened: int
    corrected: int
    withdrawn: int
    orphans: int


def simulate_traffic(
    scenario: Scenario, *, start: int, days: float, calls_per_day: float, seed: int, after_days: float = 0.0
) -> Traffic:
    """Draw traffic.

    Args:
        scenario: what it looks like.
        start: first instant, microseconds since 1970 UTC.
        days: length.
        after_days: how long after the last calls statements still come, as in exports; later ones are not there yet.
        calls_per_day: mean number.
        seed: same arguments and seed, same traffic.
    """
    rng = np.random.default_rng(seed)
    end = start + int(days * DAY_US)
    changed_at = _changed_at(scenario, start, days, rng)
    calls = _calls(scenario, start, end, int(rng.poisson(days * calls_per_day)), changed_at, rng)
    known = end + int(after_days * DAY_US)
    return _statements(scenario, calls, (start, end, known), changed_at, rng)


def uuid7(at: I64, rng: np.random.Generator) -> Objects:
    """Texts like UUIDv7: the millisecond of `at`, then 74 random bits."""
    high: I64 = rng.integers(0, 1 << 12, at.shape, np.int64)
    low: I64 = rng.integers(0, 1 << 62, at.shape, np.int64)
    ids = np.empty(at.shape[0], object)
    moments: list[int] = (at // 1000).tolist()
    for row, (ms, a, b) in enumerate(zip(moments, high.tolist(), low.tolist(), strict=True)):
        text = f"{ms:012x}7{a:03x}{b | 1 << 63:016x}"
        ids[row] = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
    return ids


def _changed_at(scenario: Scenario, start: int, days: float, rng: np.random.Generator) -> int | None:
    if scenario.incident is None:
        return None
    jitter = rng.uniform(-0.01, 0.01)
    return start + int((scenario.incident.at + jitter) * days * MINUTES_PER_DAY) * MINUTE_US


def _calls(
    scenario: Scenario, start: int, end: int, n: int, changed_at: int | None, rng: np.random.Generator
) -> SimCalls:
    at = np.sort(_times(scenario.day_swing, start, end, n, rng))
    task = rng.choice(len(scenario.tasks), n, p=[one.share for one in scenario.tasks])
    arm = rng.choice(len(scenario.arms), n, p=[one.share for one in scenario.arms])
    rate = np.array([[one.rates[a.model, a.config] for a in scenario.arms] for one in scenario.tasks])[task, arm]
    incident = scenario.incident
    if incident is not None and changed_at is not None:
        hit = np.array([a.model == incident.model for a in scenario.arms])[arm]
        hit &= np.array([one.name == incident.task_type for one in scenario.tasks])[task]
        rate = rate - incident.drop * (hit & (at >= changed_at))
    error = rng.random(n) < scenario.errors
    tokens_in = np.round(np.exp(rng.normal(6.8, 0.5, n))).astype(np.int64)
    tokens_out = np.round(np.exp(rng.normal(5.5, 0.6, n))).astype(np.int64)
    latency = np.array([a.latency_ms for a in scenario.arms])[arm] * np.exp(rng.normal(0, 0.45, n))
    cost = np.array([a.cost_usd for a in scenario.arms])[arm] * (tokens_in + 3 * tokens_out) / 2000
    # Rates are those of all calls, failed ones included.
    success = ~error & (rng.random(n) < np.minimum(rate / (1 - scenario.errors), 1.0))
    ids = uuid7(at, rng)
    return SimCalls(at, task, arm, success, error, np.round(latency, 1), np.round(cost, 7), tokens_in, tokens_out, ids)


def _times(swing: float, start: int, end: int, n: int, rng: np.random.Generator) -> I64:
    """Times with intensity 1 + swing * sin, greatest in the afternoon UTC, by inverting its integral."""
    grid = np.linspace(start, end, 4096)
    phase = 2 * np.pi * (grid / DAY_US - 9 / 24)
    mass = np.cumsum(1 + swing * np.sin(phase))
    at: I64 = np.interp(rng.uniform(mass[0], mass[-1], n), mass, grid).astype(np.int64)
    return at // 1000 * 1000


class _Pile:
    """Statements as they are made up, before they are put in order."""

    def __init__(self) -> None:
        self.columns: list[tuple[I64, I64, Objects, Bools, F64, I64]] = []
        self.size = 0

    def add(self, at: I64, call: I64, source: Objects, success: Bools, score: F64 | None = None) -> I64:
        """Assertions; returns their rows."""
        return self._add(at, call, source, success, score, np.full(at.shape[0], -1))

    def retract(self, at: I64, call: I64, source: Objects, rows: I64) -> None:
        """Withdrawals of the statements in `rows`."""
        self._add(at, call, source, np.zeros(at.shape[0], bool), None, rows)

    def _add(self, at: I64, call: I64, source: Objects, success: Bools, score: F64 | None, retracts: I64) -> I64:
        scores = np.full(at.shape[0], np.nan) if score is None else score
        self.columns.append((at, call, source, success, scores, retracts))
        self.size += at.shape[0]
        rows: I64 = np.arange(self.size - at.shape[0], self.size)
        return rows


def _statements(
    scenario: Scenario,
    calls: SimCalls,
    period: tuple[int, int, int],
    changed_at: int | None,
    rng: np.random.Generator,
) -> Traffic:
    start, end, known = period
    pile = _Pile()
    odd = np.zeros(3, np.int64)
    for index, task in enumerate(scenario.tasks):
        mine = np.flatnonzero(calls.task == index)
        answered = mine[rng.random(mine.shape[0]) < np.where(calls.error[mine], 0.5, task.answered)]
        odd += _first_statements(scenario, task, calls, answered, pile, rng)
    judged = np.flatnonzero((rng.random(calls.at.shape[0]) < scenario.judged) & ~calls.error)
    passes = calls.success[judged] ^ (rng.random(judged.shape[0]) < scenario.judge_wrong)
    score: F64 = np.where(
        passes, rng.uniform(PASS_AT, 1, judged.shape[0]), rng.uniform(0, PASS_AT - 0.01, judged.shape[0])
    )
    pile.add(
        calls.at[judged] + _delay(300.0, scenario, judged.shape[0], rng),
        judged,
        _texts("judge", judged.shape[0]),
        passes,
        np.asarray(score.round(3), np.float64),
    )
    orphans = int(rng.poisson(scenario.orphans * calls.at.shape[0]))
    nowhere = np.full(orphans, -1)
    at = rng.integers(start, end, orphans) // 1000 * 1000
    pile.add(at, nowhere, _texts("downstream", orphans), rng.random(orphans) < 0.5)  # either
    reopened, corrected, withdrawn = odd.tolist()
    return Traffic(calls, _ordered(pile, calls, known, rng), changed_at, reopened, corrected, withdrawn, orphans)


def _first_statements(
    scenario: Scenario, task: SimTask, calls: SimCalls, rows: I64, pile: _Pile, rng: np.random.Generator
) -> I64:
    """Add the statements about answered calls: the truth at once, or only in the end."""
    n = rows.shape[0]
    truth = calls.success[rows]
    source = np.array(list(task.sources), object)[rng.choice(len(task.sources), n, p=list(task.sources.values()))]
    fate = rng.random(n)
    # A ticket outranks a user or a system, but not a reviewer.
    reopened = ~truth & ~calls.error[rows] & (source != "human_review") & (fate < scenario.reopened)
    corrected = ~reopened & (fate > 1 - scenario.corrected)
    withdrawn = ~reopened & ~corrected & (fate > 1 - scenario.corrected - scenario.withdrawn)
    stated = truth ^ (reopened | corrected | withdrawn)
    medians = np.where(stated, task.success_delay_s, task.failure_delay_s)
    at = calls.at[rows] + _delay(medians, scenario, n, rng)
    first = pile.add(at, rows, source, stated)

    def later(which: Bools, median_s: float) -> I64:
        count = int(which.sum())
        moments: I64 = np.minimum(
            at[which] + _delay(median_s, scenario, count, rng), calls.at[rows[which]] + int(scenario.max_delay_s * 1e6)
        )
        return moments

    pile.add(
        later(reopened, 4 * 3600.0), rows[reopened], _texts("ticket_reopened", int(reopened.sum())), truth[reopened]
    )
    pile.add(later(corrected, 1800.0), rows[corrected], source[corrected], truth[corrected])
    back = later(withdrawn, 1800.0)
    by_id = rng.random(back.shape[0]) < 0.5  # half name the statement, half only the source
    pile.retract(back, rows[withdrawn], source[withdrawn], np.where(by_id, first[withdrawn], -2))
    again = rng.random(back.shape[0]) < 0.5  # the other half stays unanswered
    pile.add(back[again] + MINUTE_US, rows[withdrawn][again], source[withdrawn][again], truth[withdrawn][again])
    return np.array([reopened.sum(), corrected.sum(), withdrawn.sum()])


def _delay(median_s: float | F64, scenario: Scenario, n: int, rng: np.random.Generator) -> I64:
    seconds = np.minimum(median_s * np.exp(rng.normal(0, scenario.delay_sigma, n)), scenario.max_delay_s - 3600)
    delay: I64 = (seconds * 1000).astype(np.int64) * 1000
    return delay


def _texts(text: str, n: int) -> Objects:
    return np.full(n, text, object)


def _ordered(pile: _Pile, calls: SimCalls, end: int, rng: np.random.Generator) -> SimOutcomes:
    at, call, source, success, score, retracts = (np.concatenate(column) for column in zip(*pile.columns, strict=True))
    order = np.argsort(at, kind="stable")
    order = order[at[order] < end]
    place = np.full(pile.size, -1)
    place[order] = np.arange(order.shape[0])
    ids = uuid7(at[order], rng)
    call_ids = np.where(call[order] >= 0, calls.ids[call[order]], uuid7(at[order] - MINUTE_US, rng))
    target = retracts[order]
    target = np.where(target >= 0, place[target], target)
    return SimOutcomes(at[order], call[order], source[order], success[order], score[order], target, ids, call_ids)
