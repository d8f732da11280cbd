"""Makes the records of arms that are shown from columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.reports.insights_columns import ArmColumns
from flows.reports.insights_compare import ArmInsight, Corrected, Side
from flows.reports.insights_evidence import DROP, DetectionDelay, silence
from models.arrays import F64, I64
from models.stats.bounds import manski
from models.stats.comparison import Compared, Span
from models.stats.intervals import confidence_sequence, wilson

_Numbers = tuple[float | None, ...]


def rows_of(arms: ArmColumns, compared: Compared) -> list[ArmInsight]:
    """One record for each arm, in their order; `compared` is of these arms."""
    spans = arms.spans()
    sides = [_sides(counts, span) for counts, span in zip((arms.before, arms.after), spans, strict=True)]
    bounds = manski(spans[1].successes, spans[1].failures, spans[1].calls)
    rows = zip(
        *(arms.models.tolist(), arms.configs.tolist(), *sides),
        _corrected(arms, compared),
        _numbers((compared.low, compared.high)),
        (compared.worse | compared.better).tolist(),
        zip(bounds.sure_low.tolist(), bounds.sure_high.tolist(), strict=True),
        _power(arms.power),
        arms.effect.tolist(),
        strict=True,
    )
    return [_arm(*row) for row in rows]


def _arm(
    model: str | None,
    config: str | None,
    baseline: Side,
    current: Side,
    corrected: Corrected | None,
    ends: _Numbers,
    differs: bool,  # noqa: FBT001 - a row of columns
    bounds: tuple[float, float],
    power: DetectionDelay | None,
    effect: float,
) -> ArmInsight:
    delta = None if baseline.rate is None or current.rate is None else current.rate - baseline.rate
    if corrected is not None and not current.pending:
        plain = corrected.rate, corrected.low, corrected.high, corrected.maturity
        corrected = Corrected(*plain, delta, *ends)
    quiet = silence(
        current.resolved,
        current.calls,
        bounds,
        rate=current.rate if corrected is None or corrected.rate is None else corrected.rate,
        maturity=None if corrected is None else corrected.maturity,
        pending=current.pending,
    )
    low, high = ends
    return ArmInsight(model, config, baseline, current, corrected, delta, low, high, differs, quiet, power, effect)


def _corrected(arms: ArmColumns, compared: Compared) -> list[Corrected | None]:
    """The corrected rates, with the difference of what is still to come."""
    numbers = _numbers((*arms.corrected, compared.final, compared.final_low, compared.final_high))
    return [Corrected(*row) if known else None for row, known in zip(numbers, arms.known.tolist(), strict=True)]


def _power(figures: F64) -> list[DetectionDelay | None]:
    return [
        None if within is None or per_day is None else DetectionDelay(DROP, per_day, days, within)
        for per_day, days, within in _numbers(figures)
    ]


def _sides(counts: I64, span: Span) -> list[Side]:
    """The sides of all arms at once: intervals of one alone take a millisecond."""
    calls, successes, failures, pending, expired = counts
    resolved = successes + failures
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = successes / resolved
    good, bad = span.successes, span.failures
    ends = (rate, *confidence_sequence(good, bad), *wilson(good, good + bad))
    whole = (calls, resolved, successes, failures, pending, expired)
    return [
        Side(*row, *(shares if row[1] else (None,) * len(ends)))
        for row, shares in zip(_rows(whole), _rows(ends), strict=True)
    ]


def _numbers(columns: Sequence[F64] | F64) -> list[_Numbers]:
    """Rows of numbers, None where there are none."""
    # An absent value is equal to no other, not even to itself.
    plain = ([None if one != one else one for one in column.tolist()] for column in columns)  # noqa: PLR0124
    return list(zip(*plain, strict=True))


def _rows(columns: Sequence[NDArray[Any]]) -> list[tuple[Any, ...]]:
    return list(zip(*(column.tolist() for column in columns), strict=True))
