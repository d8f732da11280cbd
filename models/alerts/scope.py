"""Scopes: which calls an alert is about, and which scope explains a change best.

A scope is (task_type, model, config) with None for "all", in any combination: one config of a task over all its models,
one model over all tasks (a provider's incident), everything. A *leaf* is a scope without None.
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from models.arrays import F64, I64, Bools
from models.stats.shiryaev_roberts import RATIOS

Scope = tuple[str | None, str | None, str | None]
DEFAULT_CONFIG = "default"
"""Of calls that name none."""

NEAR_TIE = 2.0
"""Natural logarithms of likelihood by which a wider scope must explain more than a narrower one."""
SHARE = 0.7
"""One cause may hit harder here than there: its common shift need only explain this much of what two would."""
_PARENT = 10.0
"""Trials that the rate of (task_type, model) counts for in that of a leaf: a new config has no other baseline."""
_LOG_RATIOS: F64 = np.log(RATIOS)
_BITS = 21


def covers(scope: Scope, other: Scope) -> bool:
    """Whether all calls of `other` are calls of `scope`.

    >>> covers((None, "model-a", None), ("refund", "model-a", "v1"))
    True
    >>> covers(("refund", "model-a", "v1"), ("refund", "model-a", None))
    False
    """
    return all(mine in {None, theirs} for mine, theirs in zip(scope, other, strict=True))


def overlap(scope: Scope, other: Scope) -> bool:
    """Whether some call may be of both.

    >>> overlap(("refund", None, None), (None, "model-a", None))
    True
    """
    return all(mine is None or theirs in {None, mine} for mine, theirs in zip(scope, other, strict=True))


def wider(scope: Scope) -> list[Scope]:
    """The scope and all that cover it, the narrow ones first."""
    masked = ((part if keep else None for part, keep in zip(scope, mask, strict=True)) for mask in _MASKS)
    found = {(task, model, config) for task, model, config in masked}
    return sorted(found, key=lambda one: (sum(part is None for part in one), [part or "" for part in one]))


class Explanation(NamedTuple):
    """The scope whose one common shift explains the outcomes best, and the logarithm of its likelihood ratio."""

    scope: Scope
    gain: float


class _Tried(NamedTuple):
    """A scope with its gain, the number of its leaves, and how many words its name has."""

    scope: Scope
    gain: float
    size: int
    named: int


class Leaves:
    """The names of all leaves, as numbers that can be compared in arrays."""

    def __init__(self, names: list[tuple[str, str, str]] | None = None) -> None:
        self.names: list[tuple[str, str, str]] = []
        self.index: dict[tuple[str, str, str], int] = {}
        self._parts: tuple[dict[str, int], ...] = ({}, {}, {})
        self._ids: list[tuple[int, int, int]] = []
        self._array: I64 = np.zeros((0, 3), np.int64)
        for name in names or []:
            self.add(name)

    def add(self, name: tuple[str, str, str]) -> int:
        """The leaf's index; a new one where it is not known."""
        found = self.index.get(name)
        if found is None:
            found = self.index[name] = len(self.names)
            self.names.append(name)
            ids = [part.setdefault(text, len(part) + 1) for part, text in zip(self._parts, name, strict=True)]
            self._ids.append((ids[0], ids[1], ids[2]))
        return found

    def within(self, scope: Scope) -> Bools:
        """Which leaves the scope covers, shape (leaves,)."""
        inside = np.ones(len(self.names), np.bool_)
        for column, (part, text) in enumerate(zip(self._parts, scope, strict=True)):
            if text is not None:
                inside &= self._numbers()[:, column] == part.get(text, -1)
        return inside

    def parents(self) -> tuple[I64, int]:
        """A number for (task_type, model) per leaf, and how many there are."""
        ids = self._numbers()
        distinct, place = np.unique(ids[:, 0] << _BITS | ids[:, 1], return_inverse=True)
        return place.astype(np.int64).ravel(), len(distinct)

    def best(self, gains: F64, seeds: Bools, free: Bools) -> Explanation | None:
        """The scope around a leaf of `seeds` that explains most; None without seeds.

        It grows from the leaf that moved most. A wider scope must explain more than that leaf, and nearly as much as
        the leaf and the best narrower scope of the remainder would as two causes.

        Args:
            gains: per leaf and odds ratio; see `leaf_gains`.
            seeds: leaves that the scope must touch, shape (leaves,).
            free: leaves that count; others are as if they did not exist.
        """
        tried = self._tried(gains, seeds & free, free)
        if not tried:
            return None
        start = max((one for one in tried if one.named == 3), key=lambda one: (one.gain, one.scope))
        inner = self.within(start.scope)
        accepted = [start]
        for one in tried:
            if one is start or not covers(one.scope, start.scope):
                continue
            rest = self.within(one.scope) & free & ~inner
            others = [
                other.gain
                for other in self._tried(gains, rest, rest)
                if other.scope != one.scope and covers(one.scope, other.scope)
            ]
            if one.gain >= SHARE * (start.gain + max(others, default=0.0)):
                accepted.append(one)
        top = max(one.gain for one in accepted)
        found = min((one for one in accepted if one.gain >= top - NEAR_TIE), key=lambda one: (one.size, -one.named))
        return Explanation(self.named(found.scope), found.gain)

    def named(self, scope: Scope) -> Scope:
        """The name that explains most about the leaves of a scope.

        One leaf has its full name; several have no words that say nothing, such as the config that everybody has.
        """
        inside = self.within(scope)
        rows = np.flatnonzero(inside)
        if not len(rows):
            return scope
        # Any of them: what covers exactly these leaves covers this one.
        full = self.names[int(rows[0])]
        if len(rows) == 1:
            return full

        def wording(one: Scope) -> tuple[Any, ...]:
            telling = sum(
                text is not None and len(part) > 1 and (column, text) != (2, DEFAULT_CONFIG)
                for column, (part, text) in enumerate(zip(self._parts, one, strict=True))
            )
            return -telling, sum(text is not None for text in one), [text or "" for text in one]

        return min((one for one in wider(full) if np.array_equal(self.within(one), inside)), key=wording)

    def _tried(self, gains: F64, seeds: Bools, free: Bools) -> list[_Tried]:
        """All scopes around leaves of `seeds`, over leaves of `free`."""
        ids, tried = self._numbers(), []
        rows = np.flatnonzero(free)
        for mask in _MASKS:
            kept = ids[rows] * np.array(mask)
            key = (kept[:, 0] << 2 * _BITS) | (kept[:, 1] << _BITS) | kept[:, 2]
            distinct, first, place = np.unique(key, return_index=True, return_inverse=True)
            place = place.ravel()
            sums = np.zeros((len(distinct), gains.shape[1]))
            np.add.at(sums, place, gains[rows])
            size = np.bincount(place, minlength=len(distinct))
            touched = np.unique(place[seeds[rows]])
            for at in touched.tolist():
                task, model, config = (
                    text if keep else None for text, keep in zip(self.names[rows[first[at]]], mask, strict=True)
                )
                tried.append(_Tried((task, model, config), float(sums[at].max()), int(size[at]), sum(mask)))
        return tried

    def _numbers(self) -> I64:
        if len(self._array) < len(self._ids):
            self._array = np.array(self._ids, np.int64).reshape(-1, 3)
        return self._array


def leaf_gains(before: tuple[F64, F64], since: tuple[F64, F64], parents: tuple[I64, int], *, worse: bool) -> F64:
    """How much better each leaf's outcomes since the change fit shifted odds than the old ones, in logarithms.

    For odds ratio r and the baseline rate q of the event it is `e ln r - n ln(1 + (r - 1) q)`, the log-likelihood ratio
    of e events in n trials (as in CT-SR, whose mixture's odds ratios are taken). q is shrunk to that of
    (task_type, model), and with half a trial of each kind away from 0 and 1. Leaves add up.

    Args:
        before: failures and trials before the change, per leaf.
        since: failures and trials since the change, per leaf.
        parents: of each leaf, and how many; see `Leaves.parents`.
        worse: events are failures; else successes.

    Returns:
        Shape (leaves, odds ratios).
    """
    (f0, n0), (f1, n1) = before, since
    e0, e1 = (f0, f1) if worse else (n0 - f0, n1 - f1)
    of, count = parents
    rate = ((np.bincount(of, e0, count) + 0.5) / (np.bincount(of, n0, count) + 1.0))[of]
    q = (e0 + _PARENT * rate) / (n0 + _PARENT)
    gain: F64 = e1[:, None] * _LOG_RATIOS - n1[:, None] * np.log1p((RATIOS - 1) * q[:, None])
    return gain


_MASKS = tuple(product((1, 0), repeat=3))
