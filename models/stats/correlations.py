"""How alike trials of one day, or of one hour, are: intra-class correlations of many groups at once.

Days of N trials with the correlation rho vary 1 + N rho times as much as independent trials do, so that a dispersion D
(Pearson's chi-square over its k degrees of freedom) has the likelihood

    L(rho) = (1 + N rho)^(-k/2) exp(-k D / (2 (1 + N rho)))

A group's own days are few. So the correlations of all groups of an installation are learned together, as weights of
the points of a grid (nonparametric maximum likelihood: Kiefer and Wolfowitz 1956; by EM: Laird 1978), and a group's is
CAUTION times its posterior mean under these weights (empirical Bayes). Where all groups are alike the weights gather at
one point, and what a group's own days show by chance is not believed; where groups differ the weights are spread, and a
group has what its own days show. A prior that weighs half as much as a group stands for what is known before:
correlations of .005 on average, within a factor of 5 or so. docs/decisions/0029 has the evidence.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import F64, I64

PRIOR_RHO: Final = 0.005
"""Correlation that is assumed on the first day."""
LEAST_RHO: Final = 0.00003
MOST_RHO: Final = 0.02
POINTS: Final = 14
CAUTION: Final = 1.3
"""What correlations are taken for, over what they are on average: too small ones cost more than too large ones."""

_MIDDLE, _SPREAD = 0.0034, 1.5
"""The prior: log-normal, on the grid. Its mean is .005."""
_PRIOR_GROUPS: Final = 0.5
"""Groups that the prior weighs as much as."""
_STEPS: Final = 70
_TOGETHER: Final = 4096
"""Groups that are updated at once: few enough for a core's cache."""
_TELLING: Final = 2048
"""The weights are learned from so many groups at most, those that tell the most."""

GRID: Final[F64] = LEAST_RHO * (MOST_RHO / LEAST_RHO) ** (np.arange(POINTS) / (POINTS - 1))
_SHAPE: Final[F64] = np.exp(-0.5 * (np.log(GRID / _MIDDLE) / _SPREAD) ** 2)
_PRIOR: Final[F64] = _SHAPE / _SHAPE.sum()


def correlations(dispersion: F64, df: F64, size: F64, apart: I64 | slice = slice(None)) -> tuple[F64, float]:
    """Intra-class correlations of many groups, and that of one without any days of its own.

    O(groups), and some milliseconds at most for what all groups have in common.

    Args:
        dispersion: Pearson's chi-square over its degrees of freedom, shape (groups,).
        df: the degrees of freedom; 0 where nothing is known.
        size: trials that are alike, on average, >= 1.
        apart: groups from which all learn; a roll-up's trials are those of its groups, and count once.

    Returns:
        Shape (groups,); and one. In [LEAST_RHO, MOST_RHO].
    """
    weights = _weights(*(column[apart] for column in (dispersion, df, size)))
    everyone = float(GRID @ weights)
    rho = np.full(len(df), everyone)
    for start in range(0, len(df), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        posterior = _likelihood(dispersion[part], df[part], size[part])
        posterior *= weights[:, None]
        rho[part] = (GRID @ posterior) / posterior.sum(axis=0)
    rho[df == 0] = everyone
    return np.minimum(CAUTION * rho, MOST_RHO), min(CAUTION * everyone, MOST_RHO)


def _likelihood(dispersion: F64, df: F64, size: F64) -> F64:
    """Of each point, over the greatest of the group, shape (POINTS, groups)."""
    variance = 1 + GRID[:, None] * size
    likelihood = np.log(variance)
    likelihood += dispersion / variance
    likelihood *= df / -2
    likelihood -= likelihood.max(axis=0)
    return np.exp(likelihood, out=likelihood)


def _weights(dispersion: F64, df: F64, size: F64) -> F64:
    """Of the points among all groups: EM from the prior, each step taken half as far again."""
    telling = df * (size / (1 + PRIOR_RHO * size)) ** 2
    most = np.argsort(-telling, kind="stable")[:_TELLING]
    most = most[df[most] > 0]
    likelihood = _likelihood(dispersion[most], df[most], size[most])
    weights = _PRIOR
    for _ in range(_STEPS):
        alike = likelihood @ (1 / (weights @ likelihood))
        step = _PRIOR_GROUPS * _PRIOR + weights * alike
        step *= np.sqrt(step / weights)
        weights = step / step.sum()
    return weights
