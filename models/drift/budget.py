"""Divides the promise on false alarms among all that is tested: one table, whose shares sum to 1.

A test of a group alarms falsely at most as often as its threshold allows, and all of them together at most as often as
the user has set (union bound: false alarms per week add up). So each name has a share of the promise; what is not
configured gives its own back. docs/statistics.md has this table.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple


class Line(NamedTuple):
    """A line of the budget: `share` of a group's promise, spread evenly over `tests`.

    What is not configured gives its share to the others of its `pool`; a pool of which nothing is, to the pool `REST`.
    """

    pool: str
    share: Fraction
    tests: int


REST: Final = "rest"
_OF_REST: Final = Fraction(1, 16)
BUDGET: Final = MappingProxyType(
    {
        "success_rate": Line("outcomes", Fraction(9, 20), 2),  # a drop, a rise
        "known_moment": Line("outcomes", Fraction(1, 20), 2),  # a fall, a rise
        "source_rate": Line("declared", Fraction(1, 16), 2),  # `[drift] sources`, evenly: a drop, a rise
        "contract": Line("declared", Fraction(1, 16), 1),  # rules of contracts, evenly: more violations
        "latency_ms": Line(REST, _OF_REST, 4),  # more and fewer values above the p50, and above the p90
        "cost_usd": Line(REST, _OF_REST, 4),
        "tokens": Line(REST, _OF_REST, 4),
        "score": Line(REST, _OF_REST, 4),  # of each source: see `part_of_source`
        "responses": Line(REST, _OF_REST, 1),  # of each source: fewer
        "calls": Line(REST, _OF_REST, 2),  # fewer, more
    }
)
"""All statistical tests of a group, the shares over all of them. A group without some metric does not use its share."""
ALWAYS: Final = frozenset(name for name, line in BUDGET.items() if line.pool in {"outcomes", REST})
"""What needs no setting to be tested."""


@cache
def shares(configured: frozenset[str] = ALWAYS) -> dict[str, Fraction]:
    """The share of the promise of each name that is `configured`; they sum to 1. Something of `REST` always is.

    Raises:
        KeyError: a name that is not in the budget.

    >>> [str(shares()[name]) for name in ("success_rate", "calls")]
    ['9/20', '1/12']
    >>> [str(shares(ALWAYS | {"contract"})[name]) for name in ("success_rate", "contract", "calls")]
    ['9/20', '1/8', '1/16']
    """
    lines = {name: BUDGET[name] for name in sorted(configured)}
    pools = {line.pool: Fraction(0) for line in BUDGET.values()}
    for line in BUDGET.values():
        pools[line.pool if any(line.pool == other.pool for other in lines.values()) else REST] += line.share
    asked = {pool: sum(line.share for line in lines.values() if line.pool == pool) for pool in pools}
    return {name: pools[line.pool] * line.share / asked[line.pool] for name, line in lines.items()}


def part_of_source(place: int) -> float:
    """The part of a metric's share that the source in this place (0 the first to be seen) has; all parts sum to 1.

    >>> [part_of_source(place) for place in range(3)] == [1 / 2, 1 / 6, 1 / 12]
    True
    """
    return 1 / ((place + 1) * (place + 2))
