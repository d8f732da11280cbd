"""How much of a change a changed mix of one facet of calls gives, such as their tokens: each facet by itself.

As in `models.stats.traffic_mix`, within leaves. Facets move together (long inputs may be those in one language), so
their parts overlap, and must not be added.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models.arrays import F64, I64, Bools
from models.stats.standardisation import FEWEST_IN_STRATUM, Cells, split, stands_alone
from models.stats.traffic_mix import LEAST_KNOWN, Portion, codes_of

_OTHER = "other"


class FacetCounts(NamedTuple):
    """Trials of calls that have a facet: leaf, facet and value of each row; failures and trials before and since."""

    leaf: I64
    facet: list[str]
    value: list[str]
    before: tuple[F64, F64]
    since: tuple[F64, F64]


def facet_portions(inside: Bools, before: F64, since: F64, counts: FacetCounts) -> list[Portion]:
    """The part of each facet in a change within leaves, the one that is farthest beyond its interval first.

    Only trials of calls that have the facet are compared, as what a call lacks may be due to how it failed. It
    explains, and nothing is promised of it.

    Args:
        inside: leaves of the scope, shape (leaves,).
        before: trials per leaf before the change, shape (leaves,).
        since: the same since.
        counts: of these trials.

    Returns:
        Of facets with several values; O(facets * rows * log(rows)).
    """
    facets = np.array(counts.facet, np.object_)
    of_scope = inside[counts.leaf] & (counts.before[1] + counts.since[1] > 0)
    found = [
        _portion(name, np.flatnonzero(of_scope & (facets == name)), before, since, counts)
        for name in dict.fromkeys(counts.facet)
    ]
    whole = float(since[inside].sum())
    parts = [part._replace(points=p, low=low, high=high) for part, (p, low, high) in _scaled(found, whole)]
    return sorted(parts, key=beyond, reverse=True)


def beyond(part: Portion) -> float:
    """How far 0 lies outside of its interval, in points; negative where it lies within."""
    return max(part.low, -part.high)


def _portion(name: str, rows: I64, before: F64, since: F64, counts: FacetCounts) -> tuple[Portion, float] | None:
    """The part among the trials with the facet, and how many of these there are since."""
    leaf = counts.leaf[rows]
    sides = [part[rows] for part in (*counts.before, *counts.since)]
    known = _known(leaf, sides[1], before) & _known(leaf, sides[3], since)
    leaf, sides, rows = leaf[known], [part[known] for part in sides], rows[known]
    values = [counts.value[row] for row in rows.tolist()]
    stands = stands_alone(Cells(*sides), leaf)
    values = [value if stand else _OTHER for value, stand in zip(values, stands.tolist(), strict=True)]
    distinct, place = codes_of([*zip(leaf.tolist(), values, strict=True)])
    if len(distinct) < 2:
        return None
    cells = Cells(*(np.bincount(place, part, len(distinct)).astype(np.float64) for part in sides))
    of_leaf = np.array([one for one, _ in distinct], np.int64)
    names, value = codes_of([one for _, one in distinct])
    parts = split(cells, of_leaf, [codes_of(of_leaf.tolist())[1], value])
    if parts is None or len(names) < 2:
        return None
    mix = parts.mixes[1]
    gain, had, has = (np.bincount(value, part, len(names)) for part in (mix.gain, mix.before, mix.since))
    # As in `traffic_mix`: a value that became more is named rather than the one that became less for it.
    most = np.where(has >= had, gain, gain / 2) * (1 if mix.part.points >= 0 else -1)
    at = int(most.argmax())
    shares = min(float(had[at]), 1.0), min(float(has[at]), 1.0)
    return Portion(name, *mix.part, names[at], *shares), float(cells.n1.sum())


def _known(leaf: I64, trials: F64, whole: F64) -> Bools:
    """Rows of leaves enough of whose trials have the facet."""
    of_leaf = np.bincount(leaf, trials, len(whole))
    enough: Bools = (of_leaf >= np.maximum(FEWEST_IN_STRATUM, LEAST_KNOWN * whole))[leaf]
    return enough


def _scaled(
    found: list[tuple[Portion, float] | None], whole: float
) -> list[tuple[Portion, tuple[float, float, float]]]:
    """Parts in the change of the whole scope, of which only some trials have the facet."""
    some = [one for one in found if one is not None]
    return [
        (part, (part.points * share, part.low * share, part.high * share))
        for part, trials in some
        if (share := min(trials / whole, 1.0)) > 0
    ]
