"""Makes the record of one row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aftercall.times import HOUR_US, to_datetime
from aftercall.trust_record import TrustRecord, trust_key
from models.arrays import F64
from models.messages import AnyGroup
from models.trust.dimensions import TRUST_DIMENSIONS
from models.trust.estimates import Estimates
from models.trust.moved import largest_first
from models.trust.settings import TrustSettings

_RATES: Final = 9
_POINTS: Final = 3
_CHECKS: Final = 1
"""Decimal places."""
Mover = Callable[[int, float], str | None]


def issued(
    end: int, row: AnyGroup, seq: int, settings: TrustSettings, now: Estimates, at: int, points: F64, mover: Mover
) -> TrustRecord:
    """The record of a row as of the end of an hour.

    Args:
        end: hours since 1970.
        row: whose.
        seq: how many there are of it with this one.
        settings: weights, tiers, formula.
        now: of several rows.
        at: which of them.
        points: what each dimension moved, shape (8,), nan where nothing can be said.
        mover: the rule that did most of what a dimension moved.
    """
    score, low, high, coverage = (float(part[at]) for part in now.scores)
    known = score == score  # noqa: PLR0124 - nan is equal to nothing
    return TrustRecord.sealed(
        seq=seq,
        series=trust_key(*row),
        task_type=row[0],
        model=row[1],
        config=row[2],
        as_of=to_datetime(end * HOUR_US),
        score=_rounded(score, _POINTS),
        score_low=_rounded(low, _POINTS),
        score_high=_rounded(high, _POINTS),
        coverage=round(coverage, _RATES),
        tier=settings.tier(low) if known else None,
        dimensions=_dimensions(now, at, settings),
        moved=[
            {
                "dimension": TRUST_DIMENSIONS[move.dimension],
                "points": round(move.points, _POINTS),
                "rule": mover(move.dimension, move.points),
            }
            for move in largest_first(points.tolist())
        ],
        formula=settings.formula,
    )


def _dimensions(now: Estimates, at: int, settings: TrustSettings) -> list[dict[str, Any]]:
    """Those that were ever checked, and of which something is left."""
    rates, lows, highs, checks = (part[at].tolist() for part in now.rates)
    return [
        {
            "dimension": name,
            "weight": weight,
            "rate": _rounded(rate, _RATES),
            "low": _rounded(low, _RATES),
            "high": _rounded(high, _RATES),
            "n": n,
        }
        for name, weight, rate, low, high, count in zip(
            TRUST_DIMENSIONS, settings.weights, rates, lows, highs, checks, strict=True
        )
        if (n := round(count, _CHECKS)) > 0
    ]


def _rounded(value: float, places: int) -> float | None:
    return None if value != value else round(value, places)  # noqa: PLR0124 - nan is equal to nothing
