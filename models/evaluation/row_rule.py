"""Decides for each row of a suite whether it is broken, from its history, that of the other rows, and its runs now.

A row that used to pass and now fails is run twice more. It is broken with probability

    e b / (e b + (1 - e) u),    b = .95^f .05^(n - f),    u = sum_i w_i p_i^f (1 - p_i)^(n - f)

with f failures in its n runs now, w the distribution of its probability to fail p given its history
(`models.evaluation.spread`) and e the share of rows expected to break: two of the suite, and at most a tenth of it. A
row that failed each time and is still in doubt is run twice more again, at most three times: few rows need it, and it
finds what two confirmations leave in doubt (docs/decisions/0051-a-row-regresses-by-its-own-history.md has the figures).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from models.arrays import F64, Bools
from models.evaluation.spread import Spread
from models.evaluation.trials import RowTrials

HISTORY_RUNS: Final = 7
"""Recorded runs that a row is held against."""
ENOUGH_RUNS: Final = 4
"""With fewer recorded runs only the plain rule is possible."""
RUNS_PER_ROUND: Final = 2
ROUNDS: Final = 3
"""At most so many times are rows in doubt run `RUNS_PER_ROUND` times more."""
CERTAIN: Final = 0.9
"""A row that is broken with this probability has regressed."""
DOUBTFUL: Final = 0.1
"""A row that is broken with this probability is named, though it does not count."""
_FAILS_BROKEN: Final = 0.95
_BREAKING_ROWS: Final = 2
_MOST_BREAKING: Final = 0.1


class RowRule:
    """The rule for the rows of one suite with one history; rows without any are not judged."""

    def __init__(self, history: RowTrials) -> None:
        """Fit the spread of the suite. About 2 ms.

        Args:
            history: of each row, over the recorded runs before this one.
        """
        self._history = history
        known = history.trials > 0
        self._spread = Spread.fitted(history.of(known))
        self._breaking = min(_BREAKING_ROWS / max(int(known.sum()), 1), _MOST_BREAKING)

    def broken(self, now: RowTrials) -> F64:
        """The probability that each row is broken; 0 where it did not use to pass, or never failed now.

        Args:
            now: the runs of each row since the change, confirmations included.

        Returns:
            Shape (rows,), 0 to 1.
        """
        passes = now.trials - now.failures
        broken = now.failures * np.log(_FAILS_BROKEN) + passes * np.log(1 - _FAILS_BROKEN)
        with np.errstate(over="ignore"):
            odds_against = np.exp(self._spread.chance_of(now, self._history) - broken)
        against = odds_against * (1 - self._breaking) / self._breaking
        return np.where(self._history.mostly_passed & (now.failures > 0), 1 / (1 + against), 0.0)

    def to_confirm(self, now: RowTrials, rounds: int) -> Bools:
        """Rows that `RUNS_PER_ROUND` more runs are for, shape (rows,).

        Args:
            now: the runs of each row so far.
            rounds: how many rounds of confirmations have been run; from `ROUNDS` on no row needs more.
        """
        suspect = self._history.mostly_passed & now.mostly_failed
        if rounds == 0:
            return suspect
        if rounds >= ROUNDS:
            return np.zeros(len(suspect), np.bool_)
        in_doubt: Bools = suspect & (now.failures == now.trials) & (self.broken(now) < CERTAIN)
        return in_doubt
