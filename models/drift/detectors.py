"""The table of detectors, and the step that runs it over closed minutes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final, Protocol

from aftercall.records import Digest
from aftercall.vocabulary import OTHER
from models.alarms.alarm import Alarm, by_time
from models.drift.adwin import AdwinEvidence
from models.drift.migrations import to_3, to_4, to_5
from models.drift.settings import DriftSettings
from models.drift.success_rate.detector import SuccessRateDetector
from models.drift.success_rate.source_rates import SourceRates
from models.drift.success_rate.suspicions import Suspicions
from models.drift.success_rate.violation_rates import ViolationRates
from models.drift.values.mean_shift import MeanShift
from models.drift.values.quantile_shift import QuantileShift
from models.drift.volume.arms import MuteArms
from models.drift.volume.volume import Volume
from models.messages import NO_SHARED, AnyGroup, Closed, Restart, SharedTrials
from models.side_messages import NO_LENGTHS, LengthTrials
from models.state import Migrations

__all__ = ["DETECTORS", "Detector", "Drift", "DriftSettings"]


class Detector(Protocol):
    """Watches closed minutes for one kind of change; `tests/suites/test_detectors.py` holds each to its laws.

    A detector is built from the settings and, on a resume, from the `state()` of the one before it; it raises
    `StateError` where it cannot read that. All calls come from one thread, between two of which nothing happens.
    """

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        """Take in the minutes that have closed since the last call. Called once per message, in order of time.

        What comes out must not depend on how minutes are cut into messages. Raises nothing: messages are valid, and an
        exception stops the pipeline. Called in the dataflow, so its cost is that of the message's rows, plus at most a
        constant per series, hour and day.

        Args:
            closed: the minutes; may be empty, and may only move `through`.
            alarms: of the detectors before this one in the table, in these minutes.

        Returns:
            `alarms` in their order, each as it was or with more evidence, and then its own: at the end of one of these
            minutes, through `OpenAlarms`, with finite evidence.
        """
        ...

    def state(self) -> dict[str, Any]:
        """Plain values and arrays from which to go on as if nothing had happened. Called at each epoch's end.

        Not a copy: the caller packs it before the next `close`. Keys that are stored cannot be renamed.
        """
        ...


Build = Callable[[DriftSettings, dict[str, Any] | None], Detector]

DETECTORS: Final[Mapping[str, Build]] = {
    "rates": SuccessRateDetector,
    "opinion": lambda _, state: AdwinEvidence(state),
    "numeric": MeanShift,
    "quantiles": QuantileShift,
    "volume": Volume,
    "arms": MuteArms,
    "sources": SourceRates,
    "contracts": ViolationRates,
}
"""By the key of their state, in the order in which they run."""
_LATER: Final[Mapping[str, None]] = {"sources": None, "contracts": None}
"""Keys that earlier states lack."""


class Drift:
    """All detectors of the dataflow. What comes out does not depend on how minutes are cut into messages."""

    STATE_VERSION: ClassVar = 5
    MIGRATIONS: ClassVar[Migrations] = {2: to_3, 3: to_4, 4: to_5}

    def __init__(self, settings: DriftSettings | None = None, state: Mapping[str, Any] | None = None) -> None:
        """Start fresh, or from a `state()`."""
        settings = DriftSettings() if settings is None else settings
        kept = dict.fromkeys(DETECTORS) if state is None else {**_LATER, **state}
        self._detectors: dict[str, Detector] = {name: build(settings, kept[name]) for name, build in DETECTORS.items()}

    def close(self, closed: Closed) -> list[Alarm]:
        """Take in what happened in minutes that have closed since the last call.

        Returns:
            Alarms by time, group, kind and metric. None of what has folded: it changes with who is in it.
        """
        alarms: list[Alarm] = []
        for detector in self._detectors.values():
            alarms = detector.close(closed, alarms)
        return sorted((alarm for alarm in alarms if OTHER not in alarm.series[1]), key=by_time)

    def digests(self) -> list[Digest]:
        """Digests of the weeks that have ended since this was last called."""
        rates = [detector for detector in self._detectors.values() if isinstance(detector, SuccessRateDetector)]
        return [digest for detector in rates for digest in detector.digests()]

    def restarts(self) -> list[Restart]:
        """Changes of arms that routing acts on, since this was last called, by time and group; they alert no person."""
        rates = [detector for detector in self._detectors.values() if isinstance(detector, SuccessRateDetector)]
        return [restart for detector in rates for restart in detector.restarts()]

    def suspicions(self) -> Suspicions | None:
        """Suspicions at the end of the last whole hour; None where none has ended since this was last called."""
        rates = [detector for detector in self._detectors.values() if isinstance(detector, SuccessRateDetector)]
        return next((detector.suspicions() for detector in rates), None)

    def design_effects(self) -> list[tuple[AnyGroup, float]]:
        """How far rates are less certain than counts say (`models.drift.success_rate.unit_sizes`).

        Of groups and roll-ups where it has changed since this was last called: 1 of those never listed. O(groups).
        """
        rates = [detector for detector in self._detectors.values() if isinstance(detector, SuccessRateDetector)]
        return [effect for detector in rates for effect in detector.design_effects()]

    def shared(self) -> SharedTrials:
        """What the trials of the last `close` share with others of their units, by its codes, minute and code."""
        rates = [detector for detector in self._detectors.values() if isinstance(detector, SuccessRateDetector)]
        return next((detector.units.take_shared() for detector in rates), NO_SHARED)

    def lengths(self) -> LengthTrials:
        """Trials of the last `close` by how many outcomes their unit had, by its codes."""
        rates = [detector for detector in self._detectors.values() if isinstance(detector, SuccessRateDetector)]
        return next((detector.units.lengths.take() for detector in rates), NO_LENGTHS)

    def state(self) -> dict[str, Any]:
        """Everything `from_state` needs to go on as if nothing had happened; not a copy."""
        return {name: detector.state() for name, detector in self._detectors.items()}

    @classmethod
    def from_state(cls, state: dict[str, Any], settings: DriftSettings | None = None) -> Drift:
        """Go on from the `state()` of another instance; `settings` hold from here on.

        Raises:
            StateError: where the state has detectors of another version of river.
        """
        return cls(settings, state)
