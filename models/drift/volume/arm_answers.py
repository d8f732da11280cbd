"""Detect arms of which fewer calls are answered than were, while their siblings are answered as before.

What is due of an arm in an hour is what its siblings of the task type get at the same time, times what the arm usually
gets of that, and no more than by the arm's own delays (`expected_responses.py`). So nights, batches and reviewers, and
a source that answers less of all, cancel out, and siblings that are answered more make nothing due. Statements are
held against it as those of a source are (`responses.py`), with a promise, from two weeks on.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import numpy as np

from models.alarms.alarm import Alarm
from models.arrays import F64, Bools
from models.drift.settings import DriftSettings
from models.drift.volume.detector import ArrivalDetector, Measure
from models.drift.volume.expected_responses import AGES, ResponseDelays, day_ends
from models.drift.volume.silence import Silences
from models.drift.volume.weekly_profile import WeeklyProfiles
from models.messages import Group

_HALF: Final = 0.5
"""As for sources."""
_LEAST_VARIATION: Final = 0.02
"""tau^2 at least: what days have in common cancels out, so they differ by a seventh in place of a fifth."""
_DAILY: Final = 0.95
"""What a day counts for one day later."""


class _Unheard(Silences):
    """Silences of arms raise no alarm here: `arms.py` has them."""

    def advance_hour(self, hour: int, events: F64, due: F64, learning: Bools, counted: Bools) -> Bools:
        """Count the hour, and report nothing."""
        return np.zeros_like(super().advance_hour(hour, events, due, learning, counted))


class _Fewer(ArrivalDetector):
    """Fewer statements than are due, of many arms."""

    _LEAST: ClassVar = 1.5
    mute: Bools
    """Arms that have an alarm already; to be set before each hour."""

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        super().__init__(settings, more=False, state=state)
        self._quiet = _Unheard(None if state is None else state["quiet"])

    def _profiles(self, ratios: F64, state: dict[str, F64] | None) -> WeeklyProfiles:
        return WeeklyProfiles(np.append(ratios, _HALF), state, least_variation=_LEAST_VARIATION)

    @property
    def learning(self) -> Bools:
        """Whose history shows what is normal."""
        return super().learning & ~self.mute

    @property
    def fallen(self) -> Bools:
        """Which have an open alarm."""
        fallen: Bools = self._open != 0
        return fallen

    def forget_mute(self, hour: int) -> None:
        """What is missing of a mute arm is no evidence once it speaks again."""
        rows = np.flatnonzero(self.mute)
        if len(rows):
            self._profile.clear(rows, hour)


class ArmAnswers:
    """Of all arms, in the order of the caller's rows; about 6 kB each."""

    def __init__(self, settings: DriftSettings, state: dict[str, Any] | None = None) -> None:
        """Start without arms, or from a `state()`."""
        kept: dict[str, Any] = state or {}
        self._detector = _Fewer(settings, kept.get("detector"))
        self._delays = ResponseDelays(kept.get("delays"))
        self._usual: F64 = kept.get("usual", np.zeros((2, 0)))
        """Statements seen, and due by siblings, older ones discounted; shape (2, arms)."""
        self._threshold = settings.threshold_of("responses")

    def __len__(self) -> int:
        return len(self._detector)

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"detector": self._detector.state(), "delays": self._delays.state(), "usual": self._usual}

    def add(self, names: list[Group], hour: int) -> None:
        """Watch these from `hour` on."""
        self._detector.add(names, [self._threshold] * len(names), hour)
        self._delays.add(len(names))
        self._usual = np.concatenate((self._usual, np.zeros((2, len(names)))), axis=1)

    def keep(self, kept: Bools) -> None:
        """Forget the others."""
        self._detector.keep(kept)
        self._delays.keep(kept)
        self._usual = self._usual[:, kept]

    @property
    def fallen(self) -> Bools:
        """Arms that have an open alarm, shape (arms,)."""
        return self._detector.fallen

    def advance_hour(
        self, hour: int, answered: F64, passed: F64, calls: F64, by_siblings: F64, mute: Bools
    ) -> list[Alarm]:
        """One hour of all arms.

        Args:
            hour: since 1970 UTC, one more than the last time.
            answered: statements by the age of their calls, shape (arms, BUCKETS).
            passed: calls that passed through each age, shape (arms, AGES).
            calls: of the last hours, `RecentCalls.calls`.
            by_siblings: statements due by those of the siblings, shape (arms,).
            mute: arms that have an alarm for their silence.
        """
        detector, seen = self._detector, answered.sum(axis=1)
        detector.mute = mute
        renewed = detector.normal(hour)
        self._delays.relearn(renewed)
        self._usual[:, renewed] = 0.0
        learning, own = detector.learning, self._delays.due(calls)
        usual = self._usual[0] / np.maximum(self._usual[1], 1e-9)
        due = np.minimum(usual * by_siblings, own)
        shares = self._delays.shares.sum(axis=1)
        found = detector.advance_hour(hour, seen, due, due)
        detector.forget_mute(hour)
        ends = day_ends(hour)
        self._delays.learn(answered[:, :AGES], passed, calls, learning, day_ends=ends)
        self._usual[:, learning] += np.stack((seen, by_siblings))[:, learning]
        self._usual *= _DAILY if ends else 1.0
        names = detector.keys
        measures = [
            Measure(("volume", (names[row][0], names[row][1], names[row][2]), "responses"), float(shares[row]), _UNIT)
            for row, _ in found
        ]
        return detector.alarms(found, measures, hour)


_UNIT: Final = "statements per call"
