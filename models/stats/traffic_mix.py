"""How much of a change a changed mix of task types, models, configs and segments gives, and how much is within them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.vocabulary import OTHER
from models.arrays import F64, I64, Bools
from models.stats.standardisation import FEWEST_IN_STRATUM, Cells, Mix, split, stands_alone

MIXES: Final = ("task_type", "model", "config", "segment")
WITHIN: Final = "within"
LEAST_KNOWN: Final = 0.1
"""Share of the trials of a leaf before that have a segment, from which on it is divided by them."""


class SegmentCounts(NamedTuple):
    """Trials of calls with a segment: leaf and segment of each pair; failures and trials before and since."""

    leaf: I64
    segment: list[str]
    before: tuple[F64, F64]
    since: tuple[F64, F64]


class Portion(NamedTuple):
    """A part of a change: fields of `aftercall.records.SplitPart`."""

    dimension: str
    points: float
    low: float
    high: float
    value: str | None
    share_before: float | None
    share_since: float | None

    def rounded(self) -> dict[str, Any]:
        """The fields for a record, numbers to 6 significant digits."""
        fields = self._asdict()
        return {name: float(f"{it:.6g}") if isinstance(it, float) else it for name, it in fields.items()}


class _Places(NamedTuple):
    """Cells, with the leaf and the segment of each."""

    cells: Cells
    leaf: I64
    segment: list[str | None]


def portions(
    names: Sequence[tuple[str, str, str]],
    inside: Bools,
    before: tuple[F64, F64],
    since: tuple[F64, F64],
    strata: SegmentCounts | None = None,
) -> list[Portion]:
    """The parts of a change: one for each dimension with several values, and one `within`.

    It explains, and nothing is promised of it: no alarm depends on it.

    Args:
        names: of the leaves, (task_type, model, config).
        inside: leaves of the scope, shape (leaves,).
        before: failures and trials per leaf before the change, shape (leaves,) each.
        since: the same since.
        strata: those of these trials whose calls have a segment.

    Returns:
        Parts that sum to the change of the plain rate; nothing where no dimension has several values, or one side has
        no trials.
    """
    (leaf,) = np.nonzero(inside & (before[1] + since[1] > 0))
    places = _Places(Cells(*(part[leaf] for part in (*before, *since))), leaf, [None] * len(leaf))
    if strata is not None and len(strata.leaf):
        places = _with_segments(places, strata)
    columns = [[names[at][column] for at in places.leaf.tolist()] for column in range(3)]
    coded = [codes_of(column) for column in (*columns, places.segment)]
    if all(len(distinct) < 2 for distinct, _ in coded):
        return []
    found = split(places.cells, places.leaf, [place for _, place in coded])
    if found is None:
        return []
    parts = [
        _portion(dimension, distinct, place, mix)
        for dimension, (distinct, place), mix in zip(MIXES, coded, found.mixes, strict=True)
        if len(distinct) > 1
    ]
    return [*parts, Portion(WITHIN, *found.within, None, None, None)]


def _with_segments(whole: _Places, strata: SegmentCounts) -> _Places:
    """The cells of leaves, divided by segment; calls without one are a cell too. Small ones of a leaf are one, `OTHER`.

    A leaf few of whose trials before have a segment stays whole: else all would be new, as it is when they begin.
    """
    leaves = int(max(whole.leaf.max(initial=0), strata.leaf.max())) + 1
    total = [_sums(whole.leaf, part, leaves) for part in whole.cells]
    known = _sums(strata.leaf, strata.before[1], leaves) >= np.maximum(FEWEST_IN_STRATUM, LEAST_KNOWN * total[1])
    (rows,) = np.nonzero(known[strata.leaf] & (total[1] + total[3] > 0)[strata.leaf])
    parts = [part[rows] for part in (*strata.before, *strata.since)]
    rest = [all_ - _sums(strata.leaf[rows], part, leaves) for all_, part in zip(total, parts, strict=True)]
    (left,) = np.nonzero(rest[1] + rest[3] > 0)
    leaf = np.concatenate((strata.leaf[rows], left))
    cells = Cells(*(np.concatenate((part, of[left])) for part, of in zip(parts, rest, strict=True)))
    names: list[str | None] = [*(strata.segment[row] for row in rows.tolist()), *[None] * len(left)]
    alone = np.bincount(leaf, minlength=leaves)[leaf] == 1
    stands = stands_alone(cells, leaf) | alone
    named = [name if stand else OTHER for name, stand in zip(names, stands.tolist(), strict=True)]
    return _summed(_Places(cells, leaf, named))


def _summed(places: _Places) -> _Places:
    """One cell per leaf and segment."""
    distinct, place = codes_of([*zip(places.leaf.tolist(), places.segment, strict=True)])
    cells = Cells(*(_sums(place, part, len(distinct)) for part in places.cells))
    return _Places(cells, np.array([leaf for leaf, _ in distinct], np.int64), [segment for _, segment in distinct])


def _portion(dimension: str, values: list[str | None], place: I64, mix: Mix) -> Portion:
    """A dimension's part, with the value that has most of it."""
    gain, before, since = (_sums(place, part, len(values)) for part in (mix.gain, mix.before, mix.since))
    # A value that became more is named rather than the one that became less for it.
    most = np.where(since >= before, gain, gain / 2) * (1 if mix.part.points >= 0 else -1)
    at = int(most.argmax())
    return Portion(dimension, *mix.part, values[at], min(float(before[at]), 1.0), min(float(since[at]), 1.0))


def codes_of(values: list[Any]) -> tuple[list[Any], I64]:
    """Distinct values as they come, and the place of each among them."""
    places: dict[Any, int] = {}
    codes = np.array([places.setdefault(value, len(places)) for value in values], np.int64)
    return list(places), codes


def _sums(place: I64, part: F64, count: int) -> F64:
    return np.bincount(place, part, count).astype(np.float64)
