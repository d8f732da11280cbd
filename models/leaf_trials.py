"""Trials of every (task_type, model, config) and source over the last weeks: where a change shows, and how much."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.scope import Leaves
from models.streams import F64, I32, I64, Closed, Group

KEEP_HOURS = 14 * 24
"""How far back a baseline reaches."""
FINE_HOURS = 6
"""Whole hours before the present one that are told apart by the minute."""
_SLACK = 16_384


class LeafTrials:
    """Rows (slice, minute, failures, trials) of 16 bytes, a slice being a leaf and the source that decided.

    Older minutes are merged into the first minute of their hour. What is read at a minute does not depend on when.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or with the `state()` of another instance."""
        state = {"names": [], "slices": [], "first": [], "rows": np.zeros((4, 0), np.int32)} if state is None else state
        self.leaves = Leaves(state["names"])
        self.first: list[int] = list(state["first"])
        """Minute of a leaf's first trial."""
        self._slices: dict[tuple[int, str], int] = {key: code for code, key in enumerate(state["slices"])}
        self._known = {(self.leaves.names[leaf], source): code for (leaf, source), code in self._slices.items()}
        self._merged: I32 = state["rows"]
        self._fresh: list[I32] = []
        self._fresh_rows = 0

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "names": self.leaves.names,
            "slices": list(self._slices),
            "first": self.first,
            "rows": np.concatenate([self._merged, *self._fresh], axis=1),
        }

    def add(self, closed: Closed, begin: int, end: int) -> None:
        """Take in the trials of minutes `begin` <= minute < `end`, which come after all that were taken in before."""
        part = closed.slices if len(closed.slices.code) else None
        minutes = closed.trials.minute if part is None else part.minute
        low, high = (int(at) for at in np.searchsorted(minutes, (begin, end)))
        if low == high:
            return
        minute = minutes[low:high].astype(np.int64)
        if part is None:
            code = closed.trials.code[low:high]
            failures = closed.trials.trial_failures[low:high]
            trials = failures + closed.trials.trial_successes[low:high]
            source = np.zeros(high - low, np.int64)
            sources: tuple[str, ...] = ("",)
        else:
            code, source, trials = part.code[low:high], part.source[low:high].astype(np.int64), part.count[low:high]
            failures = np.where(part.success[low:high] == 0, trials, 0)
            sources = closed.sources
        some = np.flatnonzero(trials != 0)
        key, place = np.unique(code[some].astype(np.int64) * len(sources) + source[some], return_inverse=True)
        texts = [(closed.names[one // len(sources)], sources[one % len(sources)]) for one in key.tolist()]
        slices = np.array([self._known.get(text, -1) for text in texts], np.int64)
        fresh = np.flatnonzero(slices < 0).tolist()
        if fresh:
            first = np.full(len(key), np.iinfo(np.int64).max)
            np.minimum.at(first, place.ravel(), minute[some])
            # In order of time and name, which no cut of the messages can change.
            for at in sorted(fresh, key=lambda at: (first[at], texts[at])):
                slices[at] = self._slice(*texts[at], int(first[at]))
        rows = np.stack((slices[place.ravel()], minute[some], failures[some], trials[some])).astype(np.int32)
        self._fresh.append(rows)
        self._fresh_rows += rows.shape[1]
        if self._fresh_rows > _SLACK + self._merged.shape[1] // 2:
            self._merge()

    def between(self, now: int, begin: I64 | int, end: int) -> tuple[F64, F64]:
        """Failures and trials per leaf in minutes `begin` <= minute < `end`, as they are told apart at minute `now`.

        An hour that is told apart no longer, and lies only in part between the two, is left out whole.

        Args:
            now: the present minute; >= end.
            begin: per leaf, or one for all.
            end: one for all.
        """
        f, n, leaf, _ = self._sums(now, begin, end)
        count = len(self.leaves.names)
        return np.bincount(leaf, f, count).astype(np.float64), np.bincount(leaf, n, count).astype(np.float64)

    def by_slice(self, now: int, begin: I64 | int, end: int) -> tuple[F64, F64, I64, list[str]]:
        """As `between`, but per slice: failures, trials, leaf and source of each."""
        return self._sums(now, begin, end)

    def _sums(self, now: int, begin: I64 | int, end: int) -> tuple[F64, F64, I64, list[str]]:
        keys = list(self._slices)
        leaf = np.array([one for one, _ in keys], np.int64)
        starts = np.broadcast_to(np.asarray(begin, np.int64), len(self.leaves.names))
        rows = np.concatenate([self._merged, *self._fresh], axis=1)
        self._merged, self._fresh = rows, []  # joined, which the next call is spared; merged by the hour at its time
        minute = rows[1].astype(np.int64)
        fine = minute // 60 >= now // 60 - FINE_HOURS
        told = np.where(fine, minute, minute // 60 * 60)
        inside = (told >= starts[leaf[rows[0]]]) & (told + np.where(fine, 1, 60) <= end)
        inside &= minute // 60 > now // 60 - KEEP_HOURS
        f, n = (np.bincount(rows[0, inside], rows[row, inside], len(keys)).astype(np.float64) for row in (2, 3))
        return f, n, leaf, [source for _, source in keys]

    def _slice(self, name: Group, source: str, minute: int) -> int:
        known = len(self.leaves.names)
        leaf = self.leaves.add(name)
        if leaf == known:
            self.first.append(minute)
        code = self._known[name, source] = self._slices[leaf, source] = len(self._slices)
        return code

    def _merge(self) -> None:
        rows = np.concatenate([self._merged, *self._fresh], axis=1)
        self._fresh, self._fresh_rows = [], 0
        newest = int(rows[1].max())
        minute = rows[1].astype(np.int64)
        minute = np.where(minute // 60 < newest // 60 - FINE_HOURS, minute // 60 * 60, minute)
        kept = minute // 60 > newest // 60 - KEEP_HOURS
        key = (rows[0, kept].astype(np.int64) << 32) | minute[kept]
        order = np.argsort(key, kind="stable")
        key = key[order]
        starts = np.flatnonzero(np.diff(key, prepend=-1))
        counts = np.add.reduceat(rows[2:, kept][:, order], starts, axis=1)
        self._merged = np.stack((key[starts] >> 32, key[starts] & 0xFFFFFFFF, *counts)).astype(np.int32)
