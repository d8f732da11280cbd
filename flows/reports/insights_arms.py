"""Compares the arms of task types in columns, and makes records of those alone that are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import overload

import numpy as np
from scipy.special import expit

from flows.reports.insights_columns import ArmColumns
from flows.reports.insights_compare import NOTABLE_DROP, ArmInsight
from flows.reports.insights_rows import rows_of
from models.arrays import F64, I64, Bools
from models.stats.comparison import Compared, compare
from models.stats.intervals import Z_95


class Comparison:
    """The two spans of arms, compared: shape (arms,) each.

    Attributes:
        columns: What is known of the arms.
        compared: Whether their spans differ, and how far.
    """

    def __init__(self, columns: ArmColumns, groups: I64) -> None:
        """`groups`: how many arms share one error rate, of each arm."""
        self.columns = columns
        self.compared = compare(*columns.spans(), _ends(columns), groups=groups)

    @cached_property
    def _change(self) -> tuple[F64, F64]:
        """The difference that decides, and its lower end: the corrected ones where there are any; else nan."""
        columns, compared = self.columns, self.compared
        with np.errstate(invalid="ignore", divide="ignore"):
            before, now = (counts[1] / (counts[1] + counts[2]) for counts in (columns.before, columns.after))
        delta, pending = now - before, columns.after[3] > 0
        final = np.where(columns.known, np.where(pending, compared.final, delta), np.nan)
        final_low = np.where(pending, compared.final_low, compared.low)
        use = ~np.isnan(final)
        undecided = np.isnan(delta)
        return np.where(use, final, delta), np.where(undecided, np.nan, np.where(use, final_low, compared.low))

    @cached_property
    def worse(self) -> Bools:
        """Whether the state of an arm is `worse`."""
        return self._apart & (self._change[0] < 0)

    @cached_property
    def undecided(self) -> Bools:
        """Whether it is `not_enough_evidence`."""
        return ~self._apart & ~(self._change[1] > -NOTABLE_DROP)

    @property
    def _apart(self) -> Bools:
        return self.compared.worse | self.compared.better

    def records(self, rows: I64 | slice) -> list[ArmInsight]:
        """The records of these arms; some 50 us each, and 2 ms for all."""
        columns = self.columns.take(rows)
        compared = Compared._make(column[rows] for column in self.compared)
        return rows_of(columns, compared) if len(columns.known) else []


class Arms(Sequence[ArmInsight]):
    """Some arms of a comparison, one after the other; each access makes records."""

    def __init__(self, comparison: Comparison, start: int, stop: int) -> None:
        self._of, self._start, self._stop = comparison, start, stop

    def __len__(self) -> int:
        return self._stop - self._start

    @overload
    def __getitem__(self, at: int) -> ArmInsight: ...
    @overload
    def __getitem__(self, at: slice) -> list[ArmInsight]: ...
    def __getitem__(self, at: int | slice) -> ArmInsight | list[ArmInsight]:
        found = self.records(np.arange(len(self))[at if isinstance(at, slice) else [at]])
        return found if isinstance(at, slice) else found[0]

    def __iter__(self) -> Iterator[ArmInsight]:
        return iter(self._of.records(self._rows))

    def records(self, rows: I64) -> list[ArmInsight]:
        """The records of these, in this order."""
        return self._of.records(rows + self._start)

    @property
    def columns(self) -> ArmColumns:
        """What is known of them."""
        return self._of.columns.take(self._rows)

    def covered(self, model: str | None, config: str | None) -> Bools:
        """Which ones are of this model, or of any, and of this config, or of any."""
        columns, found = self.columns, np.ones(len(self), np.bool_)
        if model is not None:
            found &= columns.models == model
        if config is not None:
            found &= columns.configs == config
        return found

    def have(self, model: str | None, config: str | None) -> bool:
        """Whether one of them is."""
        return bool(self.covered(model, config).any())

    @property
    def worse(self) -> Bools:
        """Which ones got certainly worse."""
        return self._of.worse[self._rows]

    @property
    def undecided(self) -> Bools:
        """Which ones have too little evidence."""
        return self._of.undecided[self._rows]

    @property
    def _rows(self) -> slice:
        return slice(self._start, self._stop)


def _ends(arms: ArmColumns) -> tuple[F64, F64]:
    """The corrected intervals; where all verdicts are in, that of the log odds, which is finite at 0 and 1 too."""
    _, low, high, _ = arms.corrected
    _, successes, failures, pending, _ = arms.after
    final = (pending == 0) & (successes + failures > 0) & arms.known
    middle = np.log((successes + 0.5) / (failures + 0.5))
    worth = arms.worth(successes + failures)
    half = Z_95 * np.sqrt(1 / (successes / worth + 0.5) + 1 / (failures / worth + 0.5))
    return np.where(final, expit(middle - half), low), np.where(final, expit(middle + half), high)
