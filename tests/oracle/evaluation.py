"""When a row of a suite has regressed, as docs/evals.md has it: one row and one probability at a time.

A row's results are a list of booleans, True where it passed, and without any of the code of `models/evaluation`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Results = Sequence[bool]

PROBABILITIES = (0.001, 0.003, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
STEPS = 100


def chance(results: Results, failing: float) -> float:
    """That a row which fails with this probability gives just these results."""
    return math.prod(1 - failing if passed else failing for passed in results)


def belief(weights: Sequence[float], results: Results) -> list[float]:
    """What is believed of a row's probability to fail, by Bayes."""
    joint = [weight * chance(results, failing) for weight, failing in zip(weights, PROBABILITIES, strict=True)]
    return [part / sum(joint) for part in joint]


def suite_weights(history: Sequence[Results]) -> list[float]:
    """How the probability to fail is spread over the rows: what explains their histories best."""
    weights = [1 / len(PROBABILITIES)] * len(PROBABILITIES)
    for _ in range(STEPS):
        beliefs = [belief(weights, results) for results in history]
        shares = [sum(of_row[place] for of_row in beliefs) + 0.03 for place in range(len(PROBABILITIES))]
        weights = [share / sum(shares) for share in shares]
    return weights


def used_to_pass(history: Results) -> bool:
    """Whether a row passed in more than half of its runs."""
    return sum(history) > len(history) / 2


def broken(history: Sequence[Results], now: Sequence[Results]) -> list[float]:
    """The probability that each row is broken: it fails 95 % of its runs since the change."""
    known = [results for results in history if results]
    weights = suite_weights(known) if known else []
    expected = min(2 / max(len(known), 1), 0.1)
    found = []
    for before, since in zip(history, now, strict=True):
        if not used_to_pass(before) or all(since):
            found.append(0.0)
            continue
        by_chance = math.fsum(
            weight * chance(since, failing)
            for weight, failing in zip(belief(weights, before), PROBABILITIES, strict=True)
        )
        by_fault = expected * chance(since, 0.95)
        found.append(by_fault / (by_fault + (1 - expected) * by_chance))
    return found


def to_confirm(history: Sequence[Results], now: Sequence[Results], rounds: int) -> list[bool]:
    """Which rows are run twice more."""
    failing = [
        used_to_pass(before) and bool(since) and sum(since) <= len(since) / 2
        for before, since in zip(history, now, strict=True)
    ]
    if rounds == 0:
        return failing
    doubtful = [chance_of < 0.9 for chance_of in broken(history, now)]
    return [
        rounds < 3 and fails and doubt and not any(since)
        for fails, doubt, since in zip(failing, doubtful, now, strict=True)
    ]
