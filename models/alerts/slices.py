"""Where within an alert's scope the change shows: by task type, model, config, source of the verdict, and error."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.vocabulary import RESERVED_SOURCES
from models.alarms.digits import significant
from models.arrays import F64, I64, Bools, Objects
from models.messages import Group

DIMENSIONS: Final = ("task_type", "model", "config", "source")
MOST_VALUES: Final = 5
"""Values listed per dimension, at most."""

Counts = tuple[F64, F64, I64, list[str]]
"""Failures, trials, leaf and source per slice; see `LeafTrials.by_slice`."""


class ErrorCounts(NamedTuple):
    """Failed trials of calls with an error, per pair of leaf and error: before the change and since it."""

    before: F64
    since: F64
    leaf: I64
    error: list[str]


def slices_of(
    names: list[Group], inside: Bools, before: Counts, since: Counts, errors: ErrorCounts | None = None
) -> list[dict[str, Any]]:
    """Values of each dimension that has several within the scope, by their share of the excess failures.

    The excess of a value is its failures since the change minus those that its trials would have had at its rate before
    it (that of the whole scope, where it had no trials). Sums over the finest slices, so the shares of a dimension sum
    to 1, values left out included; some may be negative.

    A call's own error and silence have one verdict, and so have sources that only report failures, such as reopened
    tickets; their rate never moves, so it is their failures per trial *of the leaf* that are held against those
    before. So too with errors, which are causes of failure and have no trials of
    their own (cause-specific rates of competing risks: Kalbfleisch and Prentice 2002, chapter 8). What the shares of
    errors lack to 1 are failures without any.

    Args:
        names: of the leaves.
        inside: leaves of the scope, shape (leaves,).
        before: counts before the change.
        since: counts since; same slices.
        errors: which of the failures were of calls with an error.

    Returns:
        Fields of `aftercall.records.Slice`, at most `MOST_VALUES` per dimension.
    """
    f0, n0, leaf, source = before
    f1, n1, _, _ = since
    chosen = np.flatnonzero(inside[leaf] & (n0 + n1 > 0))
    if not len(chosen) or n0[chosen].sum() <= 0:
        return []
    trials = _sums(leaf, n0, len(names)), _sums(leaf, n1, len(names))
    usual = f0[chosen].sum() / n0[chosen].sum()
    rate = np.where(n0[chosen] > 0, f0[chosen] / np.maximum(n0[chosen], 1.0), usual)
    excess = f1[chosen] - n1[chosen] * rate
    sources = np.array([source[at] for at in chosen.tolist()], np.object_)
    caused = _excess_of_causes(f0[chosen], f1[chosen], leaf[chosen], sources, trials, inside)
    distinct, place = np.unique(sources, return_inverse=True)
    escaped = _sums(place.ravel(), ((n0 - f0) + (n1 - f1))[chosen], len(distinct))
    one_verdict = (escaped == 0)[place.ravel()] | np.isin(sources, list(RESERVED_SOURCES))
    excess = np.where(one_verdict, caused, excess)
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
        share = _sums(place, excess, len(distinct)) / total
        a, b, c, d = (_sums(place, part[chosen], len(distinct)) for part in (f0, n0, f1, n1))
        found += _told(dimension, distinct.tolist(), share, (a, b, c, d))
    return found if errors is None else found + _by_error(errors, trials, inside, float(total))


def _by_error(errors: ErrorCounts, trials: tuple[F64, F64], inside: Bools, total: float) -> list[dict[str, Any]]:
    """Each is worth telling, be it the only one: unlike the other dimensions, no scope has an error in its name."""
    chosen = np.flatnonzero(inside[errors.leaf] & (errors.before + errors.since > 0))
    if not len(chosen):
        return []
    f0, f1 = errors.before[chosen], errors.since[chosen]
    texts = np.array([errors.error[at] for at in chosen.tolist()], np.object_)
    excess = _excess_of_causes(f0, f1, errors.leaf[chosen], texts, trials, inside)
    distinct, place = np.unique(texts, return_inverse=True)
    failures, failures_since, share = (_sums(place.ravel(), part, len(distinct)) for part in (f0, f1, excess))
    n0, n1 = (np.full(len(distinct), float(part[inside].sum())) for part in trials)
    return _told("error", distinct.tolist(), share / total, (failures, n0, failures_since, n1))


def _excess_of_causes(f0: F64, f1: F64, leaf: I64, cause: Objects, trials: tuple[F64, F64], inside: Bools) -> F64:
    """Failures beyond those that all trials of the leaf would have had at the cause's rate before; shape (rows,)."""
    n0, n1 = trials
    distinct, place = np.unique(cause, return_inverse=True)
    usual = _sums(place.ravel(), f0, len(distinct)) / n0[inside].sum()
    rate = np.where(n0[leaf] > 0, f0 / np.maximum(n0[leaf], 1.0), usual[place.ravel()])
    excess: F64 = f1 - n1[leaf] * rate
    return excess


def _told(dimension: str, values: list[str], share: F64, sums: tuple[F64, F64, F64, F64]) -> list[dict[str, Any]]:
    """Those with the greatest share; `sums` are failures and trials before and since."""
    order = sorted(range(len(values)), key=lambda at: (-share[at], values[at]))
    return [
        {
            "dimension": dimension,
            "value": values[at],
            "baseline": _rate(sums[0][at], sums[1][at]),
            "current": _rate(sums[2][at], sums[3][at]),
            "trials": int(sums[3][at]),
            "share": significant(float(share[at])),
        }
        for at in order[:MOST_VALUES]
    ]


def _sums(place: I64, part: F64, count: int) -> F64:
    return np.bincount(place, part, count).astype(np.float64)


def _rate(failures: float, trials: float) -> float | None:
    return None if trials <= 0 else significant(1 - failures / trials)
