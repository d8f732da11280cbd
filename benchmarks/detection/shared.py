"""Measures how often intervals hold the truth where outcomes come in conversations that agree more or less.

Conversations of 3 to 30 calls go minute by minute through the detector, which learns how far they agree, and their
calls through `RateCells`, which writes `current_rates`. Nothing is computed here but the conversations and the shares.
The comparison is that of `insights`: of the last day with the six days before.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTE_US, MINUTES_PER_DAY
from benchmarks.coverage import apply_calls
from benchmarks.detection.sessions import FAILING, START, Talk, Trials, closed, conversations
from flows.reports.insights_arms import Comparison
from flows.reports.insights_columns import ArmColumns, nothing_known
from models.arrays import I64
from models.drift import DriftSettings, SuccessRateDetector
from models.messages import AnyGroup, Group
from models.rates import RateCells, RateTable

GROUPS: Final = 6
"""Models of a task type."""
_LONGEST: Final = 30
_SEED: Final = 41
_SPANS: Final = ("24h", "7d")
_COUNTED: Final = ("calls", "successes", "failures")
_AGREE: Final = {"one verdict for all": 1.0, "70 % share it": 0.7, "50 % share it": 0.5, "each call its own": 0.0}
TALKS: Final = tuple(
    Talk(f"{per_day} a day, {name}", per_day, shared, live=True)
    for per_day in (15, 100)
    for name, shared in _AGREE.items()
)


class Seen(NamedTuple):
    """`current_rates` of all groups, with and without what the detector has learned of conversations."""

    allowed: RateTable
    counted: RateTable


def table(tasks: int, days: int = 15) -> list[dict[str, Any]]:
    """A row per stream and span, of steady conversations.

    Shares of the intervals of 95 % that hold the truth, with each outcome in full and as shipped, and shares of groups
    of which `insights` says that they have changed.

    Args:
        tasks: task types of six groups.
        days: of conversations before the table is written.
    """
    rows = []
    for number, talk in enumerate(TALKS):
        seen = watched(talk, tasks, days, np.random.default_rng([_SEED, number]))
        for span in _SPANS:
            allowed, counted = (of_span(one, span) for one in seen)
            rows.append(
                {
                    "stream": talk.name,
                    "span": span,
                    "outcomes": float(allowed["resolved"].mean()),
                    "design_effect": float(allowed["design_effect"].mean()),
                    "in_full": held(counted, "rate"),
                    "shipped": held(allowed, "rate"),
                    "corrected": held(allowed, "corrected"),
                    "named_in_full": named(seen.counted),
                    "named": named(seen.allowed),
                }
            )
    return rows


def watched(talk: Talk, tasks: int, days: int, rng: np.random.Generator) -> Seen:
    """Conversations of `days` days, as the detector and the rates see them."""
    groups, end = tasks * GROUPS, START + days * MINUTES_PER_DAY
    talks = conversations(talk, rng, groups, days, (days, 0.0), longest=_LONGEST, alike=True)
    talks = talks.part(slice(0, int(np.searchsorted(talks.minute, end))))
    names = [(f"task-{row // GROUPS:04d}", f"model-{row % GROUPS}", "v1") for row in range(groups)]
    effects = learned(talks, names, days)
    cells, at = RateCells(), talks.minute * MINUTE_US
    # Every verdict is there at once, so that corrected rates are what rates are.
    apply_calls(cells, names, talks.group, at, ~talks.failed, np.zeros(len(at), np.int64))
    cells.advance(end * MINUTE_US, int(at.max()))
    frozen = cells.frozen()
    return Seen(*(frozen.tables(end * MINUTE_US, live=True, effects=some)[1] for some in (effects, {})))


def learned(talks: Trials, names: list[Group], days: int) -> dict[AnyGroup, float]:
    """Design effects after so many days, from a fresh start."""
    detector, effects = SuccessRateDetector(DriftSettings(warmup_us=0)), dict[AnyGroup, float]()
    for day in range(days):
        begin = START + day * MINUTES_PER_DAY
        some = slice(*np.searchsorted(talks.minute, (begin, begin + MINUTES_PER_DAY)).tolist())
        detector.close(closed(talks.part(some), names, begin + MINUTES_PER_DAY, units=True))
        effects.update(detector.design_effects())
    return effects


def of_span(rates: RateTable, span: str) -> RateTable:
    """The rows of a span, one of each group."""
    return {name: column[rates["span"] == span] for name, column in rates.items()}


def held(rates: RateTable, kind: str) -> float:
    """The share of the intervals that hold the true rate; of those that there are."""
    low, high = (rates[f"{kind}_{end}"].astype(np.float64) for end in ("low", "high"))
    there = ~np.isnan(low)
    return float(((low <= 1 - FAILING) & (high >= 1 - FAILING))[there].mean())


def named(rates: RateTable) -> float:
    """The share of groups of which one look says that they are worse or better: each is the only one of its task."""
    day, week = (of_span(rates, span) for span in _SPANS)
    before = _counts({name: week[name] - day[name] for name in _COUNTED})
    known = nothing_known(day["model"], (before, _counts(day)))
    arms = ArmColumns(**known | {"configs": day["config"], "effect": day["design_effect"]})
    compared = Comparison(arms, np.ones(len(arms.known), np.int64)).compared
    return float((compared.worse | compared.better).mean())


def _counts(columns: RateTable) -> I64:
    """Counts of arms, as `ArmColumns` has them."""
    counts = np.array([columns[name] for name in _COUNTED], np.int64)
    return np.concatenate((counts, np.zeros((2, counts.shape[1]), np.int64)))
