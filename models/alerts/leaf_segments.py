"""Trials by the segment of their call over the last weeks: which kinds of call a change may be a mix of."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.alerts.scope import Leaves
from models.arrays import F64, I64
from models.columns.minute_rows import MinuteRows
from models.messages import Closed
from models.stats.traffic_mix import SegmentCounts


class LeafSegments:
    """Rows (leaf and segment, minute, failures, trials) of 16 bytes; settings bound the segments of a task type."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or with the `state()` of another instance."""
        kept = state or {"codes": [], "rows": np.zeros((4, 0), np.int32)}
        self._codes: dict[tuple[int, str], int] = {tuple(key): code for code, key in enumerate(kept["codes"])}
        self._rows = MinuteRows(kept["rows"])

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"codes": list(self._codes), "rows": self._rows.rows()}

    def add(self, closed: Closed, begin: int, end: int, leaves: Leaves) -> None:
        """Take in the trials of minutes `begin` <= minute < `end`, whose leaves are known.

        They come by minute, name and segment, and that order gives the codes, so no cut of the messages can.
        """
        part = closed.stratified
        rows = slice(*(int(at) for at in np.searchsorted(part.minute, (begin, end))))
        if rows.start == rows.stop:
            return
        places = list(zip(part.code[rows].tolist(), part.segment[rows].tolist(), strict=True))
        leaf = {code: leaves.index[closed.names[code]] for code in dict.fromkeys(code for code, _ in places)}
        keys = ((leaf[code], closed.segments[segment]) for code, segment in places)
        codes = np.array([self._codes.setdefault(key, len(self._codes)) for key in keys], np.int32)
        failures = part.trial_failures[rows]
        self._rows.add(np.stack((codes, part.minute[rows], failures, failures + part.trial_successes[rows])))

    def between(self, now: int, begin: I64, end: int) -> tuple[F64, F64]:
        """Failures and trials per pair of `strata`; `begin` is per leaf. See `MinuteRows.between`."""
        leaf = np.array([one for one, _ in self._codes], np.int64)
        rows = self._rows.between(now, begin[leaf], end)
        failures, trials = (np.bincount(rows[0], counts, len(leaf)).astype(np.float64) for counts in rows[2:])
        return failures, trials

    def strata(self, before: tuple[F64, F64], since: tuple[F64, F64]) -> SegmentCounts:
        """Two of `between`, with leaf and segment of each pair."""
        leaf = np.array([one for one, _ in self._codes], np.int64)
        return SegmentCounts(leaf, [segment for _, segment in self._codes], before, since)
