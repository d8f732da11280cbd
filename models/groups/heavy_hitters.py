"""Counts calls of groups that have folded, hour by hour, in bounded memory: which of them should be counted by name?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from models.messages import Group

MOST_COUNTED: Final = 500
"""Groups of an hour that keep a count whenever counts are cut; twice as many at other times."""

Hourly = dict[int, int]
"""Calls by hour."""


class HeavyHitters:
    """The summaries of Misra and Gries (1982), one per hour, cut as in Agarwal et al. (2012), "Mergeable summaries".

    A count is exact while an hour has at most 2 `MOST_COUNTED` groups, and otherwise too low, by at most a 501st of the
    hour's calls. A call costs O(1) amortised.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start fresh, or from the `state()` of another instance."""
        kept = state or {"counts": {}, "totals": {}}
        self._counts: dict[int, dict[Group, int]] = kept["counts"]
        self._totals: Hourly = kept["totals"]

    def state(self) -> dict[str, Any]:
        """Plain values; not a copy."""
        return {"counts": self._counts, "totals": self._totals}

    def add(self, name: Group, hour: int, calls: int) -> None:
        """Count calls of a group."""
        counts = self._counts.setdefault(hour, {})
        counts[name] = counts.get(name, 0) + calls
        self._totals[hour] = self._totals.get(hour, 0) + calls
        if len(counts) > 2 * MOST_COUNTED:
            least = sorted(counts.values(), reverse=True)[MOST_COUNTED]
            self._counts[hour] = {name: count - least for name, count in counts.items() if count > least}

    def take(self, name: Group) -> Hourly:
        """Its counts, which are no longer kept here."""
        taken = {hour: counts.pop(name) for hour, counts in self._counts.items() if name in counts}
        for hour, count in taken.items():
            self._totals[hour] -= count
        return taken

    def split(self, task: str) -> HeavyHitters:
        """The counts of a task type, which are no longer kept here."""
        parted = HeavyHitters()
        for name in sorted({name for counts in self._counts.values() for name in counts if name[0] == task}):
            for hour, calls in self.take(name).items():
                parted.add(name, hour, calls)
        return parted

    def rows(self) -> Iterator[tuple[Group, int, int]]:
        """Who, hour, and at least so many calls."""
        return ((name, hour, calls) for hour, counts in self._counts.items() for name, calls in counts.items())

    def hours(self) -> list[int]:
        """With calls."""
        return list(self._totals)

    def forget(self, before: int) -> None:
        """Drop the hours before this one."""
        for kept in (self._counts, self._totals):
            for hour in [hour for hour in kept if hour < before]:
                del kept[hour]

    def calls(self, first: int, end: int) -> tuple[Counter[Group], int]:
        """Calls of the hours `first` to `end` - 1: at least so many of each group, and those of all."""
        found: Counter[Group] = Counter()
        for hour, counts in self._counts.items():
            if first <= hour < end:
                found.update(counts)
        return found, sum(count for hour, count in self._totals.items() if first <= hour < end)
