"""Tells how soon a drop of each group's success rate would be noticed: columns of `current_rates`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from aftercall.times import DAY_US, DAYS_PER_WEEK
from models.stats.noticing import noticing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.arrays import F64, I64


def power_columns(successes: I64, failures: I64, in_week: I64, age_us: I64, effect: F64) -> dict[str, NDArray[Any]]:
    """Three columns, shape (groups,) each; nan is NULL.

    Args:
        successes: All outcomes of the group, shape (groups,).
        failures: The same.
        in_week: Outcomes of the last week's calls.
        age_us: Since the day of the group's first call; traffic is spread over so much of the week, a day at least.
        effect: Design effect of the group's rate: so many outcomes tell as much as one that shares nothing.

    Returns:
        `outcomes_per_day`, of the last week; `power_days`, the median time to notice a drop of 5 points, nan where it
        is over eight weeks; `power_within_week`, the probability to notice it within a week. All nan where the last
        week has no outcome.
    """
    per_day = in_week / np.clip(age_us / DAY_US, 1.0, DAYS_PER_WEEK)
    found = noticing(successes / effect, failures / effect, per_day / effect)
    return {
        "outcomes_per_day": np.where(in_week > 0, per_day, np.nan),
        "power_days": np.where(np.isinf(found.days), np.nan, found.days),
        "power_within_week": found.within_week,
    }
