"""Trials by facets of their call over the last weeks: tokens, tools, language and session length, each by itself."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from aftercall.facets import FACETS, LENGTH_BOUNDS, OTHER_VALUE, SESSION_LENGTH, facet_values, stratum_text
from models.alerts.scope import Leaves
from models.arrays import F64, I32, I64, U32
from models.columns.group_sums import total
from models.columns.minute_rows import SlotRows
from models.messages import Closed, Group
from models.stats.facet_mix import FacetCounts

MOST_OF_FACET: Final = 8
"""Values of a facet that a leaf has by name, those that come first; all others are one."""

_Key = tuple[int, str, str]
"""Leaf, facet and value."""


class LeafFacets:
    """Rows (leaf, facet and value; minute, failures, trials) of 16 bytes, at most a hundred of each value at a time."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or with the `state()` of another instance."""
        kept = state or {"codes": [], "rows": np.zeros((4, 0), np.int32)}
        self._codes: dict[_Key, int] = {tuple(key): code for code, key in enumerate(kept["codes"])}
        self._named: dict[tuple[int, str], int] = {}
        for leaf, facet, _ in self._codes:
            self._named[leaf, facet] = self._named.get((leaf, facet), 0) + 1
        self._rows = SlotRows(kept["rows"])

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"codes": list(self._codes), "rows": self._rows.rows()}

    def add(self, closed: Closed, begin: int, end: int, leaves: Leaves) -> None:
        """Take in the trials of minutes `begin` <= minute < `end`, whose leaves are known.

        They come by minute, name and facets, and that order gives the codes, so no cut of the messages can.
        """
        part = closed.facets
        rows = slice(*(int(at) for at in np.searchsorted(part.minute, (begin, end))))
        if rows.start < rows.stop:
            codes = self._codes_of(closed.names, part.code[rows], part.facets[rows], leaves)
            count = part.count[rows]
            self._add(codes, part.minute[rows], np.where(part.success[rows] == 0, count, 0), count)
        lengths = closed.lengths
        rows = slice(*(int(at) for at in np.searchsorted(lengths.minute, (begin, end))))
        if rows.start < rows.stop:
            pairs = zip(lengths.code[rows].tolist(), lengths.length[rows].tolist(), strict=True)
            named = ((leaves.index[closed.names[code]], stratum_text(LENGTH_BOUNDS, at)) for code, at in pairs)
            found = np.array([[self._code(leaf, SESSION_LENGTH, text) for leaf, text in named]], np.int64)
            self._add(found, *(column[rows] for column in (lengths.minute, lengths.failures, lengths.trials)))

    def _codes_of(self, names: list[Group], code: I32, facets: U32, leaves: Leaves) -> I64:
        """Of each facet and row, in the order in which rows come; -1 where a row does not have it."""
        distinct, first, place = np.unique(code.astype(np.int64) << 32 | facets, return_index=True, return_inverse=True)
        codes = np.full((len(FACETS), len(distinct)), -1, np.int64)
        for at in np.argsort(first).tolist():
            leaf = leaves.index[names[int(distinct[at]) >> 32]]
            for facet, value in facet_values(int(distinct[at]) & 0xFFFFFFFF).items():
                codes[FACETS.index(facet), at] = self._code(leaf, facet, value)
        return codes[:, place.ravel()]

    def _add(self, codes: I64, minute: I32, failures: I32, trials: I32) -> None:
        for code in codes:
            (some,) = (code >= 0).nonzero()
            if len(some):
                first, sums = total((minute[some], code[some]), (failures[some], trials[some]))
                self._rows.add(np.stack((code[some][first].astype(np.int32), minute[some][first], *sums)))

    def first(self, minute: int, now: int) -> int:
        """The first minute from `minute` on from which all trials are known at minute `now`."""
        return self._rows.first(minute, now)

    def between(self, now: int, begin: I64, end: int) -> tuple[F64, F64]:
        """Failures and trials per row of `counts`; `begin` is per leaf. See `MinuteRows.between`."""
        leaf = np.array([one for one, *_ in self._codes], np.int64)
        rows = self._rows.between(now, begin[leaf], end)
        failures, trials = (np.bincount(rows[0], counts, len(leaf)).astype(np.float64) for counts in rows[2:])
        return failures, trials

    def counts(self, before: tuple[F64, F64], since: tuple[F64, F64]) -> FacetCounts:
        """Two of `between`, with leaf, facet and value of each row, in the order of these."""
        keys = list(self._codes)
        order = sorted(range(len(keys)), key=keys.__getitem__)
        leaf, facet, value = zip(*(keys[at] for at in order), strict=True) if keys else ((), (), ())
        sides = [(failures[order], trials[order]) for failures, trials in (before, since)]
        return FacetCounts(np.array(leaf, np.int64), [*facet], [*value], *sides)

    def _code(self, leaf: int, facet: str, value: str) -> int:
        known = self._codes.get((leaf, facet, value))
        if known is not None:
            return known
        named = self._named.get((leaf, facet), 0)
        key = leaf, facet, value if named < MOST_OF_FACET else OTHER_VALUE
        if key not in self._codes:
            self._named[leaf, facet] = named + 1
        return self._codes.setdefault(key, len(self._codes))
