"""Trials of every (task_type, model, config) and source over the last weeks: where a change shows, and how much."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.alerts.leaf_errors import LeafErrors
from models.alerts.leaf_facets import LeafFacets
from models.alerts.leaf_segments import LeafSegments
from models.alerts.leaf_shared import LeafShared
from models.alerts.scope import Leaves
from models.arrays import F64, I64, Bools
from models.columns.minute_rows import MinuteRows
from models.messages import Closed, Group
from models.stats.facet_mix import facet_portions
from models.stats.traffic_mix import Portion, portions


class LeafTrials:
    """Rows (slice, minute, failures, trials) of 16 bytes, a slice being a leaf and the source that decided.

    Which of the failures were of calls with an error is in `errors`, which trials of calls with a segment in
    `segments`, those with facets in `facets`, and what they share with others of their units in `shared`.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or with the `state()` of another instance."""
        if state is None:
            state = {"names": [], "slices": [], "first": [], "rows": np.zeros((4, 0), np.int32), "errors": None}
        self.leaves = Leaves(state["names"])
        self.first: list[int] = list(state["first"])
        """Minute of a leaf's first trial."""
        self._slices: dict[tuple[int, str], int] = {key: code for code, key in enumerate(state["slices"])}
        self._known = {(self.leaves.names[leaf], source): code for (leaf, source), code in self._slices.items()}
        self._rows = MinuteRows(state["rows"])
        self._errors = LeafErrors(state["errors"])
        self._segments = LeafSegments(state.get("segments"))  # a state of before there were any has none
        self._facets = LeafFacets(state.get("facets"))  # likewise
        self._shared = LeafShared(state.get("shared"))  # likewise

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "names": self.leaves.names,
            "slices": list(self._slices),
            "first": self.first,
            "rows": self._rows.rows(),
            "errors": self._errors.state(),
            "segments": self._segments.state(),
            "facets": self._facets.state(),
            "shared": self._shared.state(),
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
        self._rows.add(rows)
        self._add_errors(closed, begin, end)
        self._segments.add(closed, begin, end, self.leaves)
        self._facets.add(closed, begin, end, self.leaves)
        self._shared.add(closed, begin, end, self.leaves)

    def between(self, now: int, begin: I64 | int, end: int) -> tuple[F64, F64]:
        """Failures and trials per leaf in minutes `begin` <= minute < `end`, at the resolution of minute `now`.

        Args:
            now: the present minute; >= end.
            begin: per leaf, or one for all.
            end: one for all; see `MinuteRows.between`.
        """
        f, n, leaf, _ = self._sums(now, begin, end)
        count = len(self.leaves.names)
        return np.bincount(leaf, f, count).astype(np.float64), np.bincount(leaf, n, count).astype(np.float64)

    def design_effect(self, inside: Bools, now: int, begin: I64 | int, end: int) -> float:
        """So many outcomes of some leaves tell as much as one that shares no unit; minutes as in `between`. >= 1."""
        _, trials = self.between(now, begin, end)
        shared = self._shared.between(now, self._starts(begin), end)
        return 1.0 + float(shared[inside].sum()) / max(float(trials[inside].sum()), 1.0)

    def by_slice(self, now: int, begin: I64 | int, end: int) -> tuple[F64, F64, I64, list[str]]:
        """As `between`, but per slice: failures, trials, leaf and source of each."""
        return self._sums(now, begin, end)

    def by_error(self, now: int, begin: I64 | int, end: int) -> tuple[F64, I64, list[str]]:
        """As `between`, of calls with an error: failures, leaf and error of each pair of those."""
        leaf, text = self._errors.keys(self.leaves.names)
        return self._errors.between(now, self._starts(begin), end), leaf, text

    def split(self, inside: Bools, now: int, levels: I64, end: int, begin: int) -> list[Portion]:
        """What of a change within leaves is a changed mix: trials of minutes `levels` to `end` and `begin` to `now`."""
        since, starts = self._starts(begin), self._starts(levels)
        strata = self._segments.strata(
            self._segments.between(now, starts, end), self._segments.between(now, since, now)
        )
        before = self.between(now, levels, end)
        return portions(self.leaves.names, inside, before, self.between(now, begin, now), strata)

    def explained(self, inside: Bools, now: int, levels: I64, end: int, begin: int) -> dict[str, list[dict[str, Any]]]:
        """`split` and `mixes`, for a record."""
        parts = {"split": self.split, "mixes": self.mixes}
        return {name: [part.rounded() for part in of(inside, now, levels, end, begin)] for name, of in parts.items()}

    def mixes(self, inside: Bools, now: int, levels: I64, end: int, begin: int) -> list[Portion]:
        """As `split`, of each facet of calls by itself; of what is known of them, to their slots of time."""
        begin = self._facets.first(begin, now)
        (_, before), (_, since) = self.between(now, levels, end), self.between(now, begin, now)
        starts = self._starts(levels), self._starts(begin)
        counts = self._facets.counts(
            self._facets.between(now, starts[0], end), self._facets.between(now, starts[1], now)
        )
        return facet_portions(inside, before, since, counts)

    def _sums(self, now: int, begin: I64 | int, end: int) -> tuple[F64, F64, I64, list[str]]:
        keys = list(self._slices)
        leaf = np.array([one for one, _ in keys], np.int64)
        rows = self._rows.between(now, self._starts(begin)[leaf], end)
        f, n = (np.bincount(rows[0], counts, len(keys)).astype(np.float64) for counts in rows[2:])
        return f, n, leaf, [source for _, source in keys]

    def _starts(self, begin: I64 | int) -> I64:
        return np.broadcast_to(np.asarray(begin, np.int64), len(self.leaves.names))

    def _add_errors(self, closed: Closed, begin: int, end: int) -> None:
        part = closed.failed
        rows = slice(*(int(at) for at in np.searchsorted(part.minute, (begin, end))))
        columns = (part.code[rows], part.minute[rows], part.error[rows], part.count[rows])
        counts = []
        for code, minute, error, count in zip(*(column.tolist() for column in columns), strict=True):
            name = closed.names[code]
            # It is known: a trial that failed by an error is a trial.
            counts.append((self.leaves.index[name], name[0], minute, closed.errors[error], count))
        self._errors.add(counts)

    def _slice(self, name: Group, source: str, minute: int) -> int:
        known = len(self.leaves.names)
        leaf = self.leaves.add(name)
        if leaf == known:
            self.first.append(minute)
        code = self._known[name, source] = self._slices[leaf, source] = len(self._slices)
        return code
