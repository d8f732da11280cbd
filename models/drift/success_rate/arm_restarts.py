"""Changes of arms' rates that routing acts on: a second, lower threshold on the statistics of the promised test.

A page costs a person's attention, a needless restart of an arm's evidence a little exploring, so they have thresholds
of their own. Mean R of a direction passes A = 2 / (0.9 F), with F restarts per arm and week, and passes it again only
after it has been under A / 10. As mean R less the elapsed weeks is a supermartingale where nothing changes, Doob's
upcrossing inequality bounds the expected number of such passages of each direction in T weeks by T / (A - A / 10), so
that of both by F T. The statistics are not touched, so that no alarm changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import numpy as np

from aftercall.times import MINUTE_US
from aftercall.vocabulary import OTHER
from models.arrays import F64, I64, Bools
from models.messages import AnyGroup, Restart
from models.stats.shiryaev_roberts import DOWN, UP

_AGAIN_UNDER = 0.1
"""Part of the threshold under which a direction is armed again."""


class Passages:
    """Which watches pass the threshold in one run over their rows; rows as the caller orders its watches."""

    def __init__(self, threshold: float, above: Bools, arms: Bools) -> None:
        """`above`: of each watch and direction, whether it has passed already; `arms`: which watches count."""
        self._threshold, self.above, self._arms = threshold, above, arms

    def of(self, mean: F64, most: float) -> Iterator[tuple[int, bool]]:
        """Places of watches that pass now, and whether they got worse.

        Args:
            mean: mean R of the first watches, shape (rows, 2).
            most: its maximum.
        """
        above = self.above[: len(mean)]
        np.logical_and(above, mean >= _AGAIN_UNDER * self._threshold, out=above)
        if most < self._threshold:
            return
        passing = (mean >= self._threshold) & ~above & self._arms[: len(mean), None]
        above |= passing
        for place in np.flatnonzero(passing.any(axis=1)).tolist():
            yield place, bool(mean[place, DOWN] >= mean[place, UP])

    def forget(self, place: int) -> None:
        """Its statistics start again."""
        self.above[place] = False


class ArmRestarts:
    """What is known of all watches, 3 bytes each, and the restarts since they were last taken.

    Attributes:
        above: whether a watch's mean R has passed the threshold and not been low since, shape (watches, 2).
    """

    def __init__(self, per_arm_per_week: float, unpromised: AbstractSet[str], above: Bools | None = None) -> None:
        """Start fresh, or from `above` of another instance.

        Args:
            per_arm_per_week: expected restarts of an arm without a change, at most. 0: there are none.
            unpromised: task types without any: where a change of traffic looks like a change of the rate.
            above: of the watches that `grow` gets first.
        """
        self._threshold = np.inf if per_arm_per_week == 0 else 2 / ((1 - _AGAIN_UNDER) * per_arm_per_week)
        self._unpromised = unpromised
        self.above: Bools = np.zeros((0, 2), np.bool_) if above is None else above
        self._arms: Bools = np.zeros(0, np.bool_)
        self._restarts: list[Restart] = []

    def grow(self, groups: list[AnyGroup]) -> None:
        """Make room for all these watches; those that are known stand first. O(new watches)."""
        new = groups[len(self._arms) :]
        if new:
            arms = [group[2] is not None and OTHER not in group and group[0] not in self._unpromised for group in new]
            self._arms = np.concatenate((self._arms, np.array(arms, np.bool_)))
            more = len(groups) - len(self.above)
            self.above = np.concatenate((self.above, np.zeros((more, 2), np.bool_)))

    def passages(self, watches: I64) -> Passages:
        """Of these watches; `keep` them at the end."""
        return Passages(self._threshold, self.above[watches], self._arms[watches])

    def keep(self, watches: I64, passages: Passages) -> None:
        """The end of what `passages` began."""
        self.above[watches] = passages.above

    def add(self, group: AnyGroup, minute: int, changed: int, *, worse: bool) -> None:
        """The rate of an arm has passed the threshold in a minute, and most likely changed in an earlier one."""
        task, model, config = group
        assert model is not None and config is not None  # noqa: S101, PT018 - it is an arm
        arm = (task, model, config)
        self._restarts.append(Restart(arm, (minute + 1) * MINUTE_US, changed * MINUTE_US, "down" if worse else "up"))

    def take(self) -> list[Restart]:
        """Those since this was last called, by time and group."""
        taken, self._restarts = self._restarts, []
        return sorted(taken, key=lambda restart: (restart.at, restart.group))
