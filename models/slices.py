"""Where within an alert's scope the change shows: by task type, model, config, and source of the verdict."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.alert_book import significant
from models.streams import F64, I64, Bools, Group

DIMENSIONS: Final = ("task_type", "model", "config", "source")
MOST: Final = 5
"""Values told per dimension."""
MOST_OF_IT: Final = 0.8
"""Share of the failures at which a single value is worth a sentence."""
UNEVEN: Final = 0.25
"""By how much that must be more than its share of the trials."""

Counts = tuple[F64, F64, I64, list[str]]
"""Failures, trials, leaf and source per slice; see `LeafTrials.by_slice`."""


def slices_of(names: list[Group], inside: Bools, before: Counts, since: Counts) -> list[dict[str, Any]]:
    """Values of each dimension that has several within the scope, by their share of the excess failures.

    The excess of a value is its failures since the change minus those that its trials would have had at its rate before
    it (that of the whole scope, where it had no trials). Sums over the finest slices, so the shares of a dimension sum
    to 1, values left out included; some may be negative.

    Args:
        names: of the leaves.
        inside: leaves of the scope, shape (leaves,).
        before: counts before the change.
        since: counts since; same slices.

    Returns:
        Fields of `aftercall.records.Slice`, at most `MOST` per dimension.
    """
    f0, n0, leaf, source = before
    f1, n1, _, _ = since
    chosen = np.flatnonzero(inside[leaf] & (n0 + n1 > 0))
    if not len(chosen) or n0[chosen].sum() <= 0:
        return []
    usual = f0[chosen].sum() / n0[chosen].sum()
    rate = np.where(n0[chosen] > 0, f0[chosen] / np.maximum(n0[chosen], 1.0), usual)
    excess = f1[chosen] - n1[chosen] * rate
    total = excess.sum()
    if total == 0:
        return []
    found: list[dict[str, Any]] = []
    for column, dimension in enumerate(DIMENSIONS):
        values = [source[at] if dimension == "source" else names[leaf[at]][column] for at in chosen.tolist()]
        distinct, place = np.unique(np.array(values, np.object_), return_inverse=True)
        if len(distinct) < 2:
            continue
        place = place.ravel()
        sums = [np.bincount(place, part[chosen], len(distinct)) for part in (f0, n0, f1, n1)]
        share = np.bincount(place, excess, len(distinct)) / total
        order = sorted(range(len(distinct)), key=lambda at: (-share[at], distinct[at]))
        found += [
            {
                "dimension": dimension,
                "value": distinct[at],
                "baseline": _rate(sums[0][at], sums[1][at]),
                "current": _rate(sums[2][at], sums[3][at]),
                "trials": int(sums[3][at]),
                "share": significant(float(share[at])),
            }
            for at in order[:MOST]
        ]
    return found


def concentration(slices: list[dict[str, Any]]) -> str:
    """A sentence for a value that has most of the failures, and far more than of the trials; else empty."""
    for dimension in ("source", "config", "model", "task_type"):
        rows = [one for one in slices if one["dimension"] == dimension]
        trials = sum(one["trials"] for one in rows)
        if rows and rows[0]["share"] >= max(MOST_OF_IT, rows[0]["trials"] / max(trials, 1) + UNEVEN):
            what = dimension.replace("_", " ")
            return f" {min(rows[0]['share'], 1.0):.0%} of it shows in {what} '{rows[0]['value']}'."
    return ""


def _rate(failures: float, trials: float) -> float | None:
    return None if trials <= 0 else significant(1 - failures / trials)
