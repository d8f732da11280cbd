"""Judge whether an arm is surely over a limit of its task type: by intervals, not by its first dear calls."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Final, NamedTuple

from models.routing.facts import Usage
from models.routing.wanted import TaskRouting
from models.stats.intervals import confidence_sequence

ERRORS: Final = 3.0
"""Standard errors by which a mean must be over its limit: one in 740 looks is mistaken."""
SPREAD_WORTH: Final = 10.0
"""So many further calls are taken to deviate from the mean by as much as it is, as the first ones are often alike."""
SLOW: Final = 0.05
"""Share of calls that may be slower than `max_latency_p95_ms`."""


class Excess(NamedTuple):
    """How many times over its limit an arm is at least, by the bound of its interval, and which limit it is."""

    times: float
    words: str


def excess(uses: Usage, rate_high: float, outcomes: float, wanted: TaskRouting, least: int) -> Excess | None:
    """By how much an arm is surely over the limit that it exceeds most; None where it is not surely over any.

    Args:
        uses: what its calls took.
        rate_high: upper end of the interval of its success rate.
        outcomes: independent outcomes behind that.
        wanted: the limits.
        least: calls below which nothing is sure.
    """
    return max(_all(uses, rate_high, outcomes, wanted, least), default=None, key=lambda one: (one.times, one.words))


def _all(uses: Usage, rate_high: float, outcomes: float, wanted: TaskRouting, least: int) -> Iterator[Excess]:
    if wanted.max_cost_usd is not None and uses.cost_usd is not None and uses.costed >= least:
        low = mean_low(uses.cost_usd, uses.cost_spread, uses.costed)
        if low > wanted.max_cost_usd:
            words = f"costs {_short(uses.cost_usd)} USD a call, at most {_short(wanted.max_cost_usd)} wanted"
            yield Excess(_times(low, wanted.max_cost_usd), words)
    if wanted.max_latency_ms is not None and uses.latency_ms is not None and uses.timed >= least:
        low = mean_low(uses.latency_ms, uses.latency_spread, uses.timed)
        if low > wanted.max_latency_ms:
            words = f"takes {_short(uses.latency_ms)} ms a call, at most {_short(wanted.max_latency_ms)} wanted"
            yield Excess(_times(low, wanted.max_latency_ms), words)
    # Its bound lies below the share itself, which is as much as most arms need to be looked at.
    slow = uses.timed >= least and uses.slow > SLOW * uses.timed
    if wanted.max_latency_p95_ms is not None and slow:
        share_low = float(confidence_sequence(uses.slow, max(uses.timed - uses.slow, 0.0))[0])
        if share_low > SLOW:
            share, limit = uses.slow / uses.timed, _short(wanted.max_latency_p95_ms)
            yield Excess(share_low / SLOW, f"takes over {limit} ms in {100 * share:.0f} % of calls, at most 5 % wanted")
    if wanted.min_success_rate is not None and outcomes >= least and rate_high < wanted.min_success_rate:
        words = f"succeeds less than {100 * wanted.min_success_rate:.3g} % of the time"
        yield Excess(_times(wanted.min_success_rate, rate_high), words)


def mean_low(mean: float, spread: float, calls: float) -> float:
    """Lower bound of a mean of values >= 0 over discounted calls, `ERRORS` standard errors below it; may be negative.

    Discounted calls tell at least as much as their sum says, so the bound errs on the low side.

    Args:
        mean: of the values.
        spread: their mean squared deviation.
        calls: sum of the weights, > 0.

    >>> mean_low(2.0, 0.0, 3.0) < 1.0, round(mean_low(2.0, 0.0, 1000.0), 2)
    (True, 1.98)
    """
    return mean - ERRORS * sqrt((calls * spread + SPREAD_WORTH * mean * mean) / (calls + SPREAD_WORTH) / calls)


def _times(larger: float, smaller: float) -> float:
    return larger / max(smaller, 1e-12)


def _short(value: float) -> str:
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
