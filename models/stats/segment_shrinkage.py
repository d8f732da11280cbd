"""Draw the success rates that arms have in segments towards those that they have outside, by how much segments differ.

An empirical Bayes estimate (Morris 1983, JASA 78:381): of arm i in segment g, the rate is beta-distributed around
`m_ig = expit(logit(rate of i outside g) + delta_g)`, where `delta_g` is by how much g is harder for all arms, with
intra-class correlation `rho`. Where segments do not differ in which arm is best, `rho` is 0, and an arm's evidence in a
segment is that of all its calls; where they do, that of other segments is worth at most (1 - rho) / rho outcomes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy.special import expit, logit

from models.arrays import F64, Bools

LEAST_CELL: Final = 5.0
"""Outcomes of an arm in a segment below which it says nothing about how segments differ."""
_STEPS: Final = 6
_NEAREST: Final = 1e-6


class Shrunk(NamedTuple):
    """Counts that a Beta posterior takes, of shape (segments, arms), and the correlation they were drawn with.

    `harder`: by how many log odds each segment is easier (+) or harder (-) for all arms; 0 where it may be none.
    """

    successes: F64
    failures: F64
    rho: float
    harder: F64


def in_segments(successes: F64, failures: F64, own_successes: F64, own_failures: F64) -> Shrunk:
    """Posterior counts of each arm in each segment.

    Args:
        successes: of all calls of an arm, >= 0, need not be whole. Shape (K,).
        failures: likewise.
        own_successes: those of them within a segment, at most as many. Shape (G, K).
        own_failures: likewise.

    Returns:
        Where `rho` and all of `harder` are 0, the counts of all calls.

    Cost:
        O(G K).

    >>> alike = in_segments(np.array([80.0]), np.array([20.0]), np.array([[40.0]]), np.array([[10.0]]))
    >>> alike.successes.tolist(), alike.rho
    ([[80.0]], 0.0)
    """
    rest_s, rest_f = np.maximum(successes - own_successes, 0.0), np.maximum(failures - own_failures, 0.0)
    own, rest = own_successes + own_failures, rest_s + rest_f
    # Of cells that tell something: how far each is from what the arm does elsewhere.
    counted = (own >= LEAST_CELL) & (rest >= LEAST_CELL)
    base = logit((rest_s + 0.5) / (rest + 1.0))
    delta, error = _harder(base, own, own_successes, rest, counted)
    rho = _correlation(expit(base + delta[:, None]), own, own_successes, rest, counted)
    delta = np.sign(delta) * np.maximum(np.abs(delta) - error, 0.0)
    worth = 1.0 / (1.0 / np.maximum(rest, _NEAREST) + rho / (1.0 - rho))
    worth = np.where(rest > 0, np.minimum(worth, rest), 0.0)
    plain = rest_s / np.maximum(rest, _NEAREST)
    moved = expit(logit(np.clip(plain, _NEAREST, 1 - _NEAREST)) + delta[:, None])
    mean = np.where(delta[:, None] == 0.0, plain, moved)
    return Shrunk(own_successes + worth * mean, own_failures + worth * (1.0 - mean), rho, delta)


def _harder(base: F64, own: F64, own_successes: F64, rest: F64, counted: Bools) -> tuple[F64, F64]:
    """By how many log odds each segment differs from the rest, over all arms alike, and the standard error of that."""
    weight = np.where(counted, 1.0 / (1.0 + own / np.maximum(rest, _NEAREST)), 0.0)
    delta, known = np.zeros(len(own)), np.ones(len(own))
    for _ in range(_STEPS):
        rate = expit(base + delta[:, None])
        known = (weight * own * rate * (1.0 - rate)).sum(axis=1)
        step = (weight * (own_successes - own * rate)).sum(axis=1) / np.maximum(known, _NEAREST)
        delta = np.where(known > _NEAREST, delta + np.clip(step, -2.0, 2.0), 0.0)
    return delta, 1.0 / np.sqrt(np.maximum(known, _NEAREST))


def _correlation(rate: F64, own: F64, own_successes: F64, rest: F64, counted: Bools) -> float:
    """Moments of the beta-binomial (Kleinman 1973, JASA 68:46), less one standard error: chance is no difference."""
    cells = counted.sum(axis=1)
    # What a segment does to all its arms took one degree of freedom; of a single arm nothing is left.
    left = np.where(counted, (1.0 - 1.0 / np.maximum(cells, 1))[:, None], 0.0)
    segments = int((cells > 1).sum())
    if not segments:
        return 0.0
    size = np.where(counted, own, 1.0)
    spread = np.maximum(rate * (1.0 - rate), _NEAREST)
    noise = 1.0 + size / np.maximum(rest, LEAST_CELL)
    found = np.where(left > 0, (own_successes - size * rate) ** 2 / (size * spread), 0.0).sum()
    expected, slope = (noise * left).sum(), (size * left).sum()
    # What is much in one segment is little in the rest: of two, both say the same.
    error = np.sqrt(2.0 * (noise**2 * left).sum() * segments / max(segments - 1, 1))
    if segments == 1:
        error *= np.sqrt(2.0)
    return float(np.clip((found - expected - error) / slope, 0.0, 0.9))
