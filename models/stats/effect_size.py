"""Estimate how much a rate has changed where shares of the traffic changed too."""

from __future__ import annotations

from typing import NamedTuple

from aftercall.records import Direction
from models.arrays import F64
from models.stats.intervals import Z_99, newcombe
from models.stats.selection import selected_change


class Effect(NamedTuple):
    """Success rates before and since, and the interval of their difference; `trials` and `failures`: since.

    `current` is not 1 - failures / trials where it allows for their selection.
    """

    baseline: float
    current: float
    low: float
    high: float
    failures: float
    trials: float
    baseline_failures: float
    baseline_trials: float
    worth: float = 1.0
    """Design effect: so many trials tell as much as one that shares no unit; the interval allows for it."""

    @property
    def independent(self) -> float:
        """Trials since the change that tell as much as these, and share nothing."""
        return self.trials / self.worth

    @property
    def plain(self) -> float:
        """Success rate of the outcomes since the change, as they are."""
        return 1 - self.failures / self.trials

    @property
    def points(self) -> float:
        """Current minus baseline, in rates."""
        return self.current - self.baseline


def standardised_effect(
    before: tuple[F64, F64], since: tuple[F64, F64], selected: Direction | None = None, worth: float = 1.0
) -> Effect | None:
    """The change of the success rate at the traffic since the change.

    The baseline is the rate that the leaves had before, weighted by their trials since (direct standardisation; Fleiss,
    Statistical Methods for Rates and Proportions, ch. 19), so that traffic moving to a worse leaf is no change. For its
    interval it has the effective trials 1 / sum(w^2 / n) (Kish 1965), which for one leaf are its trials. Leaves without
    trials before have the rate that those of the others together had.

    Args:
        before: failures and trials per leaf, shape (leaves,) each.
        since: the same, since the change.
        selected: the way of the change whose alarm selected the outcomes since: the rate that they show is drawn
            towards that before it (`models.stats.selection`), unless they went the other way.
        worth: design effect of the trials, >= 1.

    Returns:
        None where either side has no trials.

    >>> import numpy as np
    >>> before = (np.array([10.0, 40.0]), np.array([100.0, 100.0]))
    >>> effect = standardised_effect(before, (np.array([20.0, 1.0]), np.array([190.0, 10.0])))
    >>> round(effect.baseline, 3), round(effect.current, 3), round(effect.low, 3), round(effect.high, 3)
    (0.885, 0.895, -0.08, 0.12)
    """
    (f0, n0), (f1, n1) = before, since
    known = (n0 > 0) & (n1 > 0)
    if n0.sum() <= 0 or n1.sum() <= 0 or not known.any():
        return None
    weights = n1[known] / n1[known].sum()
    failing = float((weights * f0[known] / n0[known]).sum())
    trials = float(1 / (weights**2 / n0[known]).sum()) / worth
    total_f, total_n = float(f1.sum()), float(n1.sum())
    # However much they share, they are one at least.
    now = min(worth, max(total_n, 1.0))
    bounds = newcombe(trials * (1 - failing), trials, (total_n - total_f) / now, total_n / now, Z_99)
    low, high = (float(bound) for bound in bounds)
    counts = total_f, total_n, float(f0[known].sum()), float(n0[known].sum())
    plain = Effect(1 - failing, 1 - total_f / total_n, low, high, *counts, now)
    return plain if selected is None else unselected(plain, trials, selected)


def unselected(effect: Effect, trials_before: float, direction: Direction) -> Effect:
    """The effect that is left once it is allowed for that an alarm in this direction selected the outcomes since.

    Args:
        effect: of the plain rates; returned as it is where that went the other way.
        trials_before: that its baseline is worth, > 0.
        direction: of the success rate.
    """
    if effect.points == 0 or (effect.points < 0) != (direction == "down"):
        return effect
    failures, trials = effect.failures / effect.worth, effect.independent
    if direction == "down":
        change = selected_change(1 - effect.baseline, trials_before, failures, trials)
        return effect._replace(current=1 - change.rate, low=-change.high, high=-change.low)
    change = selected_change(effect.baseline, trials_before, trials - failures, trials)
    return effect._replace(current=change.rate, low=change.low, high=change.high)


def regained(effect: Effect, reported: float) -> bool:
    """Whether at least half of a change to the rate `reported` is gone; `effect` is that of trials since then."""
    lost = reported - effect.baseline
    return abs(effect.points) <= abs(lost) / 2 or effect.points * lost < 0


def surely_regained(effect: Effect, reported: float) -> bool:
    """The same, by the end of the interval that is nearest to the change."""
    lost = reported - effect.baseline
    return effect.low > lost / 2 if lost < 0 else effect.high < lost / 2
