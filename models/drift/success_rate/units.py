"""What trials weigh whose calls share a unit: as much as they tell beyond what the unit had shown before.

Of a unit with k trials before, the m trials of a closed minute weigh n_eff(k + m) - n_eff(k) together
(`models.stats.agreement`, rho as for ratios), each as much as the other, in multiples of 1 / GRAIN. No trial weighs
more than 1, so the expectation of a likelihood ratio, taken to that power, stays at most 1. A unit is forgotten at the
first midnight that is 24 hours after its first trial; then what its trials had in common is learned. So what never
ends, such as a session for each user, counts each day or two, and is learned too.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_DAY
from models.arrays import F64, I32, I64, U64
from models.columns.group_sums import runs, runs_of
from models.columns.hash_index import HashIndex
from models.columns.struct_of_arrays import StructOfArrays
from models.drift.success_rate.bursts import BurstWeights, SourceBursts, bursts_in
from models.drift.success_rate.unit_lengths import UnitLengths
from models.drift.success_rate.unit_sizes import UnitSizes
from models.messages import NO_SHARED, AnyGroup, Closed, SharedTrials, UnitTrials
from models.stats.agreement import Agreement, effective, for_ratios
from models.stats.dispersion import GRAIN

_SPREAD: Final = np.uint64(0xD1342543DE82EF95)
_KEPT: Final = MINUTES_PER_DAY
_NO_CODE: Final = -1
_NO_WATCHES: Final[I64] = np.zeros(0, np.int64)


class _Units(NamedTuple):
    """Trials of each unit within each watch."""

    watch: I32
    trials: I32
    failures: I32
    first: I32
    """Minute of the first trial."""


class Belonging(NamedTuple):
    """Which trials of a UTC day belong together: those of a unit, and what sources said of calls without one."""

    units: UnitTrials
    said: SourceBursts


class UnitWeights:
    """Trials of units within each watch, 24 bytes each and as many for the index, and what the task types learned."""

    def __init__(self, state: dict[str, Any] | None = None, parent: I64 = _NO_WATCHES) -> None:
        """Start empty, or from the `state()` of another instance; `parent` as in `series.py`."""
        self._day = -1 if state is None else state["day"]
        self._agreement = Agreement(None if state is None else state["agreement"])
        none = np.zeros(0, np.int32)
        columns = (none,) * 4 if state is None else state["units"]
        self._units = StructOfArrays(_Units(*(np.array(column, np.int32) for column in columns)))
        self._index = _indexed(np.zeros(0, np.uint64) if state is None else state["keys"])
        self._sizes = UnitSizes(None if state is None else state.get("sizes"))  # earlier ones did not count them
        self._bursts = BurstWeights(None if state is None else state.get("bursts"), fresh=state is None)
        self._shared: list[SharedTrials] = []
        self.lengths = UnitLengths()
        # What was listed before a restart is not listed again.
        self._listed = self._effects(parent)

    def begin_day(self, day: int, groups: list[AnyGroup], parent: I64) -> None:
        """Forget units that are over, and learn from them; `groups`, `parent` as in `series.py`. O(units)."""
        gap, self._day = (day - self._day if self._day >= 0 else 0), day
        self._sizes.begin_day(gap)
        self._bursts.begin_day(gap)
        if not len(self._units) and not len(self._agreement):
            return
        self._agreement.grow(len(groups))
        kept = self._units.columns.first >= day * MINUTES_PER_DAY - _KEPT
        over = self._units.copied((~kept).nonzero()[0])
        keys = self._index.row_key[: len(self._units)][kept]
        self._units.keep(kept)
        self._index = _indexed(keys)
        leaf = np.array([group[2] is not None for group in groups], np.bool_)[over.watch]
        group, trials, failures = (part[leaf].astype(np.int64) for part in (over.watch, over.trials, over.failures))
        self._agreement.end(group, trials, failures, self._tasks(parent), gap)

    def weighed(
        self, rows: I64, failures: F64, trials: F64, levels: I64, belonging: Belonging, parent: I64
    ) -> tuple[F64, F64]:
        """Failures and trials as they weigh; of minutes not before those of earlier calls, in one UTC day.

        Args:
            rows: `watch << 32 | minute`, ascending and distinct; those of all that belongs together are among them.
            failures: of each row.
            trials: of each row.
            levels: watches of the codes, shape (levels, codes).
            belonging: trials among them that belong together.
            parent: see `series.py`.
        """
        self._sizes.grow(len(parent))
        self._agreement.grow(len(parent))
        self._sizes.add(rows >> 32, trials)
        parts = [self._in_bursts(levels, belonging.said, parent)]
        if len(belonging.units.code):
            parts.append(self._excess(levels, belonging.units, parent))
        failures, trials = failures.copy(), trials.copy()
        for at, of_failures, of_trials in parts:
            place = np.searchsorted(rows, at)
            np.subtract.at(failures, place, of_failures)
            np.subtract.at(trials, place, of_trials)
        return failures, trials

    def _in_bursts(self, levels: I64, said: SourceBursts, parent: I64) -> tuple[I64, F64, F64]:
        """As `_excess`; the same row may stand there for several sources."""
        found = self._bursts.weighed(levels, said, self._tasks(parent))
        at, of_failures, of_trials, watches, excess, shared = found
        self._sizes.exceed(watches, excess)
        if len(shared.code):
            self._shared.append(shared)
        return at, of_failures, of_trials

    def design_effects(self, parent: I64) -> list[tuple[int, float]]:
        """(watch, design effect) of those whose effect is another one than when this was last asked. O(watches)."""
        effects = self._effects(parent)
        before = np.concatenate((self._listed, np.ones(len(effects) - len(self._listed))))
        changed = np.flatnonzero(effects != before)
        self._listed = effects
        return list(zip(changed.tolist(), effects[changed].tolist(), strict=True))

    def _effects(self, parent: I64) -> F64:
        self._sizes.grow(len(parent))
        self._agreement.grow(len(parent))
        return self._sizes.design_effects(self._agreement.likely[self._tasks(parent)])

    def take_shared(self) -> SharedTrials:
        """What trials of groups share since this was last called, by minute."""
        parts, self._shared = self._shared or [NO_SHARED], []
        columns: tuple[Any, ...] = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(columns[1], kind="stable") if len(parts) > 1 else slice(None)
        return SharedTrials(*(column[order] for column in columns))

    def _excess(self, levels: I64, units: UnitTrials, parent: I64) -> tuple[I64, F64, F64]:
        """Per row: by how much failures and trials weigh less than their number."""
        watches, depth = levels[:, units.code].ravel(), len(levels)
        minute = np.tile(units.minute.astype(np.int64), depth)
        key = np.tile(units.unit, depth) ^ ((watches.astype(np.uint64) + np.uint64(1)) * _SPREAD)
        count = np.tile(units.count.astype(np.int64), depth)
        failed = np.where(np.tile(units.success, depth) == 0, count, 0)
        # Per unit and minute.
        order = np.lexsort((minute, key))
        key, minute, watches = key[order], minute[order], watches[order]
        changes = (key[1:] != key[:-1]) | (minute[1:] != minute[:-1])
        starts = np.concatenate(([0], changes.nonzero()[0] + 1)) if len(key) else np.zeros(0, np.int64)
        trials, failures = (np.add.reduceat(column[order], starts) for column in (count, failed))
        key, minute, watches = key[starts], minute[starts], watches[starts]
        before = self._count(key, watches, minute, trials, failures)
        pairs = trials * (trials - 1 + 2 * before)
        self._sizes.pair(watches, pairs)
        task = self._tasks(parent)[watches]
        rho = for_ratios(self._agreement.rho)[task]
        code_of = np.full(len(parent), _NO_CODE)
        code_of[levels[0, units.code]] = units.code
        self._share(code_of[watches], minute, np.rint(self._agreement.likely[task] * pairs * GRAIN).astype(np.int64))
        self.lengths.add(code_of[watches], minute, before + trials, failures, trials)
        weight = (effective(before + trials, rho) - effective(before, rho)) / trials
        less = [part - np.rint(part * weight * GRAIN) / GRAIN for part in (failures, trials - failures)]
        order, starts = runs((watches << 32) | minute)
        at = ((watches << 32) | minute)[order[starts]]
        of_failures, of_successes = (np.add.reduceat(column[order], starts) for column in less)
        return at, of_failures, of_failures + of_successes

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {
            "day": self._day,
            "agreement": self._agreement.state(),
            "units": tuple(self._units.columns),
            "keys": self._index.row_key[: len(self._units)],
            "sizes": self._sizes.state(),
            "bursts": self._bursts.state(),
        }

    def _count(self, key: U64, watch: I64, minute: I64, trials: I64, failures: I64) -> I64:
        """Add trials, sorted by key and minute; returns how many there were of the unit before each."""
        first = np.concatenate(([0], (key[1:] != key[:-1]).nonzero()[0] + 1))
        last = np.append(first[1:], len(key)) - 1
        row = self._index.find(key[first])
        fresh = row < 0
        begin = len(self._units)
        row[fresh] = np.arange(begin, begin + int(fresh.sum()), dtype=np.int32)
        none = np.zeros(int(fresh.sum()), np.int32)
        begun = (watch[first[fresh]].astype(np.int32), minute[first[fresh]].astype(np.int32))
        self._units.append(len(none), _Units(begun[0], none, none, begun[1]))
        self._index.insert(key[first[fresh]], row[fresh])
        columns = self._units.columns
        sums = np.cumsum(trials) - trials
        known = columns.trials[row].astype(np.int64)
        before = sums - np.repeat(sums[first] - known, last - first + 1)
        columns.trials[row] += np.add.reduceat(trials, first).astype(np.int32)
        columns.failures[row] += np.add.reduceat(failures, first).astype(np.int32)
        return before

    def _tasks(self, parent: I64) -> I64:
        """The task type's watch of every watch."""
        task = np.arange(len(parent))
        for _ in range(2):
            task = np.where(parent[task] >= 0, parent[task], task)
        return task

    def _share(self, code: I64, minute: I64, excess: I64) -> None:
        """Keep what a day's trials share, per group and minute; those of roll-ups have no code."""
        some = ((code != _NO_CODE) & (excess != 0)).nonzero()[0]
        if len(some):
            order, starts = runs_of((minute[some], code[some]))
            first = some[order[starts]]
            sums = np.add.reduceat(excess[some][order], starts)
            self._shared.append(SharedTrials(code[first].astype(np.int32), minute[first].astype(np.int32), sums))


def belonging(closed: Closed, begin: int, end: int) -> Belonging:
    """Of minutes `begin` <= minute < `end`, which lie in one UTC day."""
    rows = slice(*np.searchsorted(closed.units.minute, (begin, end)).tolist())
    columns: tuple[Any, ...] = tuple(column[rows] for column in closed.units)
    return Belonging(UnitTrials(*columns), bursts_in(closed, begin, end))


def _indexed(keys: U64) -> HashIndex:
    """Key i at row i."""
    index = HashIndex(len(keys))
    index.insert(keys, np.arange(len(keys), dtype=np.int32))
    return index
