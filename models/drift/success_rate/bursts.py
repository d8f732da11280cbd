"""What outcomes weigh that one source gave of one group within one minute, where no unit tells what belongs together.

A burst is two outcomes or more of one source, of calls of one group without session and parent, in one minute. Bursts
of like size of a task type's source are a kind: what comes in twos by chance tells nothing of batches of thirty. Where
they agree beyond what independence allows (`models.stats.burst_agreement`), those of a minute weigh as trials of one
unit do (`units.py`), and each minute by itself: who is asked again has a new opinion. Where it is not known yet, bursts
weigh by what their agreement may be, if less than half of their outcomes would be left of them. Where it is known that
they are independent they weigh in full, and so they do after ten of one verdict alone, which tells nothing ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.vocabulary import RESERVED_SOURCES
from models.arrays import F64, I64, Bools
from models.columns.group_sums import runs_of, stable_order
from models.messages import NO_SHARED, Closed, SharedTrials
from models.stats.agreement import effective, for_ratios
from models.stats.burst_agreement import BurstAgreement, Bursts
from models.stats.dispersion import GRAIN

_NEVER: Final = np.iinfo(np.int64).max
_SIZES: Final[I64] = np.array([6, 24, 96, 384])
"""From so many outcomes on a burst is of the next size."""
_TRUSTED: Final = 14
"""Days for which nothing is doubted after a state of before bursts were known: what it had seen counted in full."""
_ONE_SIDED: Final = 10
"""Bursts without the other verdict after which it is not waited for."""
_Key = tuple[int, str, int]
"""Watch, source, size."""


class SourceBursts(NamedTuple):
    """Bursts of one UTC day, of calls that belong to no unit, columns of shape (rows,); distinct rows.

    In order of minute, name and source. `sources`: their texts.
    """

    code: I64
    minute: I64
    source: I64
    failures: I64
    trials: I64
    sources: tuple[str, ...] = ()

    def part(self, rows: Bools | I64) -> SourceBursts:
        """Some of them."""
        code, minute, source, failures, trials = (column[rows] for column in self[:5])
        return SourceBursts(code, minute, source, failures, trials, self.sources)


def bursts_in(closed: Closed, begin: int, end: int) -> SourceBursts:
    """Of minutes `begin` <= minute < `end`; none of minutes in which calls of the group have units."""
    slices, units = closed.slices, closed.units
    rows = slice(*np.searchsorted(slices.minute, (begin, end)).tolist())
    code, minute, source, count = (
        column[rows].astype(np.int64) for column in (slices.code, slices.minute, slices.source, slices.count)
    )
    reserved = np.array([text in RESERVED_SOURCES for text in closed.sources], np.bool_)
    part = slice(*np.searchsorted(units.minute, (begin, end)).tolist())
    with_units = (units.code[part].astype(np.int64) << 32) | units.minute[part]
    (some,) = ((count > 0) & ~reserved[source] & ~np.isin((code << 32) | minute, with_units)).nonzero()
    failures = np.where(slices.success[rows] == 0, count, 0)
    key = minute[some], code[some], source[some]
    order, starts = runs_of(key)
    if not len(order):
        return SourceBursts(*(np.zeros(0, np.int64),) * 5, closed.sources)
    failed, tried = (np.add.reduceat(column[some][order], starts) for column in (failures, count))
    first = some[order[starts]]
    said = SourceBursts(code[first], minute[first], source[first], failed, tried, closed.sources).part(tried > 1)
    # Codes of names and sources are those of the message, which a cut may change: their order is that of the texts.
    name, text = _ranks(said.code, closed.names), _ranks(said.source, closed.sources)
    return said.part(np.lexsort((text, name, said.minute)))


def _ranks(codes: I64, texts: Sequence[Any]) -> I64:
    """Of each code the place of its text among those that occur."""
    used, place = np.unique(codes, return_inverse=True)
    ranks = np.zeros(len(used), np.int64)
    ranks[sorted(range(len(used)), key=lambda at: texts[int(used[at])])] = np.arange(len(used))
    return ranks[place.ravel()]


class _Sources(NamedTuple):
    """Of each (watch, source, size), columns of shape (rows,); those of task types are kinds.

    `trials`, `failures`: of the last burst of a group, 0 before the first. `bad`, `good`: the first minute with a
    failure, and with a success, of a kind; `heard`: its bursts.
    """

    trials: I64
    failures: I64
    bad: I64
    good: I64
    heard: I64


class BurstWeights:
    """What bursts of groups have shown: 180 bytes for each group, source and size."""

    def __init__(self, state: dict[str, Any] | None = None, *, fresh: bool = True) -> None:
        """Start empty, or from the `state()` of another instance; not `fresh`: trials have been weighed before."""
        kept: dict[str, Any] = state or {}
        self._trusted: int = kept.get("trusted", 0 if fresh else _TRUSTED)
        self._row: dict[_Key, int] = {tuple(key): row for row, key in enumerate(kept.get("keys", ()))}
        none = np.zeros(0, np.int64)
        self._of = _Sources(*(np.array(column) for column in kept.get("sources", (none,) * len(_Sources._fields))))
        self._agreement = BurstAgreement(kept.get("agreement"))

    def begin_day(self, days: int) -> None:
        """A day begins, so many days after the one before. O(groups and sources)."""
        self._agreement.begin_day(days)
        self._trusted = max(self._trusted - days, 0)

    def weighed(self, levels: I64, said: SourceBursts, tasks: I64) -> tuple[I64, F64, F64, I64, F64, SharedTrials]:
        """What trials of some minutes, not before those of earlier calls, weigh less than their number.

        Args:
            levels: watches of the codes, shape (levels, codes), groups first and task types last.
            said: the trials.
            tasks: the task type's watch of every watch.

        Returns:
            Rows `watch << 32 | minute`, failures and trials that they weigh less; watches, and by how many trials the
            variance of their sums exceeds that of independent ones; and that of groups by minute.
        """
        if not len(said.code):
            return _NOTHING
        group = levels[0, said.code]
        rows, kinds = self._rows(group, said), self._rows(tasks[group], said)
        rho, likely = self._correlation(said, kinds, self._hear(kinds, said))
        self._learn(rows, kinds, said)
        excess = np.rint(likely * said.trials * (said.trials - 1) * GRAIN).astype(np.int64)
        (some,) = (rho > 0).nonzero()
        if not len(some):
            return _NOTHING
        return *_less(levels, said.part(some), rho[some], likely[some]), _summed(said, excess)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        learned = {"sources": tuple(self._of), "agreement": self._agreement.state()}
        return {"keys": list(self._row), "trusted": self._trusted} | learned

    def _rows(self, watch: I64, said: SourceBursts) -> I64:
        """Rows of (watch, source, size), new ones in the order of `said`."""
        size = np.searchsorted(_SIZES, said.trials, side="right")
        key = (watch << 32) | (said.source << 3) | size
        key, first, place = np.unique(key, return_index=True, return_inverse=True)
        rows = np.zeros(len(key), np.int64)
        for at in np.argsort(first, kind="stable").tolist():
            one = int(key[at])
            of = one >> 32, said.sources[(one & 0xFFFFFFFF) >> 3], one & 7
            rows[at] = self._row.setdefault(of, len(self._row))
        more = len(self._row) - len(self._of.trials)
        if more:
            none, never = np.zeros(more, np.int64), np.full(more, _NEVER)
            room = none, none, never, never, none
            self._of = _Sources(*(np.concatenate(pair) for pair in zip(self._of, room, strict=True)))
            self._agreement.grow(len(self._row))
        found: I64 = rows[place.ravel()]
        return found

    def _hear(self, kinds: I64, said: SourceBursts) -> I64:
        """Count bursts and their verdicts; returns how many of its kind came before each."""
        bad = said.failures > 0
        np.minimum.at(self._of.bad, kinds[bad], said.minute[bad])
        good = said.failures < said.trials
        np.minimum.at(self._of.good, kinds[good], said.minute[good])
        order, starts = stable_order((kinds,)), np.cumsum(np.bincount(kinds)) - np.bincount(kinds)
        before: I64 = np.empty_like(order)
        before[order] = np.arange(len(order)) - starts[kinds[order]]
        earlier: I64 = before + self._of.heard[kinds]
        self._of.heard[:] += np.bincount(kinds, minlength=len(self._of.heard))
        return earlier

    def _correlation(self, said: SourceBursts, kinds: I64, before: I64) -> tuple[F64, F64]:
        """Of each burst what it weighs by, and what intervals have; 0 of what counts in full."""
        of, both = self._agreement, said.minute >= np.maximum(self._of.bad[kinds], self._of.good[kinds])
        doubtful = (both | (before < _ONE_SIDED)) & (self._trusted == 0)
        doubt = np.where(doubtful & (of.doubt[kinds] * (said.trials - 1) >= 1), of.doubt[kinds], 0.0)
        return of.rho[kinds] + doubt, of.likely[kinds] + doubt

    def _learn(self, rows: I64, kinds: I64, said: SourceBursts) -> None:
        """Hold each burst against the one before of its group and source."""
        order = np.argsort(rows, kind="stable")  # of a row in order of time
        row, failures, trials = rows[order], said.failures[order], said.trials[order]
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        f0, n0 = np.concatenate(([0], failures[:-1])), np.concatenate(([0], trials[:-1]))
        f0[starts], n0[starts] = self._of.failures[row[starts]], self._of.trials[row[starts]]
        last = np.append(starts[1:], len(row)) - 1
        self._of.failures[row[last]], self._of.trials[row[last]] = failures[last], trials[last]
        # In order of time and of groups within a minute, as `said` is.
        back = np.argsort(order)
        back = back[n0[back] > 0]
        pair = (f0[back], failures[back]), (n0[back], trials[back])
        self._agreement.add(Bursts(kinds[order][back], *pair))


def _less(levels: I64, said: SourceBursts, rho: F64, likely: F64) -> tuple[I64, F64, F64, I64, F64]:
    """See `BurstWeights.weighed`."""
    key = (levels[:, said.code] << 32) | said.minute
    order, starts = runs_of((key.ravel(), np.tile(said.source, len(levels))))
    failures, trials = (
        np.add.reduceat(np.tile(column, len(levels))[order], starts) for column in (said.failures, said.trials)
    )
    # A roll-up's burst may be of several kinds.
    rho, likely = (np.maximum.reduceat(np.tile(column, len(levels))[order], starts) for column in (rho, likely))
    weight = effective(trials, for_ratios(rho)) / trials
    less = [part - np.rint(part * weight * GRAIN) / GRAIN for part in (failures, trials - failures)]
    excess = np.rint(likely * trials * (trials - 1) * GRAIN) / GRAIN
    at = key.ravel()[order[starts]]
    return at, less[0], less[0] + less[1], at >> 32, excess


def _summed(said: SourceBursts, excess: I64) -> SharedTrials:
    """Over sources, of groups by minute."""
    (some,) = (excess > 0).nonzero()
    code, minute = said.code[some], said.minute[some]
    order, starts = runs_of((minute, code))
    first = order[starts]
    sums = np.add.reduceat(excess[some][order], starts)
    return SharedTrials(code[first].astype(np.int32), minute[first].astype(np.int32), sums)


_NO_ROWS: Final[I64] = np.zeros(0, np.int64)
_NO_COUNTS: Final[F64] = np.zeros(0)
_NOTHING: Final = (_NO_ROWS, _NO_COUNTS, _NO_COUNTS, _NO_ROWS, _NO_COUNTS, NO_SHARED)
