"""How much of a change a changed mix of task types, models and configs gives, and how much is within them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from models.alarms.digits import significant
from models.arrays import F64, I64, Bools
from models.messages import Group
from models.stats.standardisation import Cells, Mix, Part, split

MIXES: Final = ("task_type", "model", "config")
WITHIN: Final = "within"


def split_of(
    names: list[Group], inside: Bools, before: tuple[F64, F64], since: tuple[F64, F64]
) -> list[dict[str, Any]]:
    """The parts of a change, as fields of `aftercall.records.SplitPart`: dimensions with several values, and `within`.

    It explains, and nothing is promised of it: which alert is raised, and its headline, do not depend on it.

    Args:
        names: of the leaves.
        inside: leaves of the scope, shape (leaves,).
        before: failures and trials per leaf before the change, shape (leaves,) each.
        since: the same since.

    Returns:
        Nothing where no dimension has several values, or one side has no trials.
    """
    (leaf,) = np.nonzero(inside & (before[1] + since[1] > 0))
    cells = Cells(*(part[leaf] for part in (*before, *since)))
    values = [np.array([names[at][column] for at in leaf.tolist()], np.object_) for column in range(len(MIXES))]
    coded = [np.unique(column, return_inverse=True) for column in values]
    if all(len(distinct) < 2 for distinct, _ in coded):
        return []
    found = split(cells, leaf, [place.ravel().astype(np.int64) for _, place in coded])
    if found is None:
        return []
    parts = [
        mix_of(dimension, distinct.tolist(), place.ravel(), mix)
        for dimension, (distinct, place), mix in zip(MIXES, coded, found.mixes, strict=True)
        if len(distinct) > 1
    ]
    return [*parts, _fields(WITHIN, found.within, None, None, None)]


def mix_of(dimension: str, values: list[str | None], place: I64, mix: Mix) -> dict[str, Any]:
    """A dimension's part, with the value that has most of it."""
    gain, before, since = (np.bincount(place, part, len(values)) for part in (mix.gain, mix.before, mix.since))
    # A value that became more is named rather than the one that became less for it.
    most = np.where(since >= before, gain, gain / 2) * (1 if mix.part.points >= 0 else -1)
    at = int(most.argmax())
    return _fields(dimension, mix.part, values[at], float(before[at]), float(since[at]))


def _fields(
    dimension: str, part: Part, value: str | None, share_before: float | None, share_since: float | None
) -> dict[str, Any]:
    return {
        "dimension": dimension,
        "points": significant(part.points),
        "low": significant(part.low),
        "high": significant(part.high),
        "value": value,
        "share_before": None if share_before is None else significant(min(share_before, 1.0)),
        "share_since": None if share_since is None else significant(min(share_since, 1.0)),
    }
