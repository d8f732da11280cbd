"""Learns from whole days how far rates vary beyond independent checks, and which of them go together.

Each UTC day of a row (a group, or a whole task type) has in dimension i the residual

    z_i = (p_i n_i - passed_i) / sqrt(n_i p_i (1 - p_i) (1 + n_i / N_i)),

p_i from the N_i checks before the day. The mean of z_i^2 is the dispersion of i: several rules that one answer breaks,
or all calls of a conversation, raise it. The mean of z_i z_j over those of z_i^2 and z_j^2 is the correlation. Both are
pooled over the groups of a task type, and over whole task types by themselves, whose sessions go across groups. What
others say after a call is held against the calls of its own day and of the three before.

This is the variance between clusters (here days) that survey statistics use for what is sampled in clusters (Kish 1965,
section 6.4), as correlations and factors. Until days are many, what is known before counts as `_PRIOR` days: of
dispersion, the design effect that conversations have on verdicts; of correlation, the greatest that there can be.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.arrays import F64, I64
from models.trust.dimensions import JUDGED, TRUST_DIMENSIONS
from models.trust.score import greatest_correlation

_PRIOR: Final = 4.0
_LAG: Final = 3
"""Days: outcomes later than these are not corrected for either."""
_DAYS: Final = 56.0
"""Days after which a day weighs 1/e."""
_FARTHEST: Final = 5.0
"""Deviations that a day counts for at most: one disaster must not hide all that follows."""
_LEAST: Final = 5.0
"""Checks before the day and in it, below which it says nothing."""
_K: Final = len(TRUST_DIMENSIONS)


class DayDispersion:
    """Sums of products of residuals, per pool; about 1.2 kB each. A pool is a task type's groups, or its whole."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or from the `state()` of another instance."""
        self._products: F64 = np.zeros((0, _K, _K)) if state is None else state["products"]
        self._days: F64 = np.zeros((0, _K, _K)) if state is None else state["days"]
        self._before: F64 = np.zeros((0, _LAG, _K)) if state is None else state["before"]
        """Residuals of rows on the days before, the newest first; nan where there was nothing to see."""

    def grow(self, pools: int, rows: int) -> None:
        """Make room for so many pools and rows."""
        self._products, self._days = (_grown(sums, pools, 0.0) for sums in (self._products, self._days))
        self._before = _grown(self._before, rows, np.nan)

    def end_day(self, day: I64, base: F64, effect: F64, pool: I64, order: I64, days: int) -> None:
        """Learn from the rows' day that has ended.

        Args:
            day: passed and checked, shape (2, rows, 8).
            base: the same of all days before, aged.
            effect: design effects of the rows' verdicts, shape (rows,).
            pool: of the rows.
            order: the rows in an order that no numbering changes: sums of floats know one.
            days: since the end of the day before that was learned from.
        """
        self._products *= np.exp(-days / _DAYS)
        self._days *= np.exp(-days / _DAYS)
        residual = _residuals(day, base, effect)
        for _ in range(min(days - 1, _LAG)):
            self._push(np.full_like(residual, np.nan))
        products = residual[:, :, None] * residual[:, None, :]
        with_before = residual + np.nansum(self._before, axis=1)
        for at in JUDGED:
            others = [other for other in range(_K) if other not in JUDGED]
            products[:, at, others] = products[:, others, at] = residual[:, at, None] * with_before[:, others]
        seen = order[~np.isnan(residual[order]).all(axis=1)]
        np.add.at(self._products, pool[seen], np.where(np.isnan(products[seen]), 0.0, products[seen]))
        np.add.at(self._days, pool[seen], ~np.isnan(products[seen]))
        self._push(residual)

    def of(self, pool: I64, effect: F64, rate: F64, checks: F64) -> tuple[F64, F64]:
        """Dispersions of rows, >= 1, shape (n, 8), and correlations, shape (n, 8, 8).

        Args:
            pool: of each row, shape (n,).
            effect: likewise.
            rate: of the dimensions, nan without evidence, shape (n, 8).
            checks: likewise.
        """
        days = self._days[pool] + _PRIOR
        own = np.einsum("nii->ni", self._products[pool]) + _PRIOR * effect[:, None]
        dispersion = np.maximum(own / np.einsum("nii->ni", days), 1.0)
        deviation = np.sqrt(dispersion)
        seen = self._products[pool] / (deviation[:, :, None] * deviation[:, None, :])
        together = (seen + _PRIOR * greatest_correlation(rate, checks)) / days
        correlation = np.clip(together, -1.0, 1.0)
        correlation[:, range(_K), range(_K)] = 1.0
        return dispersion, correlation

    def _push(self, residual: F64) -> None:
        self._before = np.concatenate((residual[:, None], self._before[:, :-1]), axis=1)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"products": self._products, "days": self._days, "before": self._before}


def _residuals(day: I64, base: F64, effect: F64) -> F64:
    """Shape (rows, 8), nan where too little was checked."""
    passed, checked = day
    known = (base[1] >= _LEAST) & (checked >= _LEAST)
    before, n = np.where(known, base[1], 1.0), np.where(known, checked, 1)
    rate = (np.clip(base[0], 0.0, before) + 0.5) / (before + 1)
    z = (rate * n - passed) / np.sqrt(n * rate * (1 - rate) * (1 + n / before))
    most = _FARTHEST * np.sqrt(effect)[:, None]
    return np.where(known, np.clip(z, -most, most), np.nan)


def _grown(sums: F64, rows: int, fill: float) -> F64:
    more = np.full((max(rows - len(sums), 0), *sums.shape[1:]), fill)
    return np.concatenate((sums, more)) if len(more) else sums
