"""What is due of an arm, and when less of it is answered, as the documentation has it: one arm and one hour at a time.

What is written in words in `models/drift/volume/expected_responses.py` and `models/drift/volume/arm_answers.py`; slow,
and without any of their code. No arm is mute, and no alarm becomes normal.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from oracle.arrivals import DAY, FEWER, Found, ReferenceSeries, When
from oracle.expected import EDGES, HORIZON

AGES: Final = range(len(EDGES) - 1)
LAGS: Final = HORIZON // 60 + 1
KEPT: Final = 0.95
"""Of what was learned, a day later."""


@cache
def passing(age: int) -> dict[int, float]:
    """By hours after that of the call, the part of an age's minutes that lies in it; calls are spread evenly."""
    lags: dict[int, float] = defaultdict(float)
    minutes = range(EDGES[age], EDGES[age + 1])
    for after in minutes:
        for of_call in range(60):
            lags[(after + of_call) // 60] += 1 / (60 * len(minutes))
    return lags


def passed(calls: deque[float], age: int) -> float:
    """Calls that come through an age in this hour, of those of the last hours, the newest first."""
    return sum(calls[lag] * part for lag, part in passing(age).items())


@dataclass
class ReferenceArm:
    """One arm of a task type."""

    series: ReferenceSeries
    calls: deque[float] = field(default_factory=lambda: deque([0.0] * LAGS, LAGS))
    done: deque[float] = field(default_factory=lambda: deque([0.0] * LAGS, LAGS))
    """Statements on the calls of each of the last hours, the newest first."""
    answered: list[float] = field(default_factory=lambda: [0.0] * len(AGES))
    went: list[float] = field(default_factory=lambda: [0.0] * len(AGES))
    at_risk: list[float] = field(default_factory=lambda: [0.0] * len(AGES))
    seen: float = 0.0
    as_siblings: float = 0.0

    def open(self) -> deque[float]:
        """Calls of each hour that are still to be answered."""
        several = max(sum(a / max(w, 1.0) for a, w in zip(self.answered, self.went, strict=True)), 1.0)
        return deque((max(c - d / several, 0.0) for c, d in zip(self.calls, self.done, strict=True)), LAGS)

    def hour(self, hour: int, said: list[float], by_siblings: float) -> list[Found]:
        """Statements of an hour by the age of their call, the last of which has no end; `calls` has the hour's."""
        self.done.appendleft(0.0)
        still = self.open()
        risk = [passed(still, age) for age in AGES]
        own = sum(risk[age] * self.answered[age] / max(self.at_risk[age], 1.0) for age in AGES)
        due = min(self.seen / max(self.as_siblings, 1e-9) * by_siblings, own)
        learning = self.series.opened is None
        found = self.series.hour(hour, When(hour, hour - 1), sum(said), due)
        self._close(said, still, risk)
        if learning:
            self.seen, self.as_siblings = self.seen + sum(said), self.as_siblings + by_siblings
            for age in AGES:
                self.answered[age] += said[age]
                self.went[age] += passed(self.calls, age)
                self.at_risk[age] += risk[age]
        if hour % DAY == DAY - 1:
            self.seen, self.as_siblings = self.seen * KEPT, self.as_siblings * KEPT
            if learning:
                for column in (self.answered, self.went, self.at_risk):
                    column[:] = [value * KEPT for value in column]
        return found

    def _close(self, said: list[float], still: deque[float], risk: list[float]) -> None:
        """Count statements with the calls of their hours."""
        more = [0.0] * LAGS
        for age in AGES:
            of, through = (still, risk[age]) if risk[age] > 0 else (self.calls, passed(self.calls, age))
            if said[age] and through > 0:
                for lag, part in passing(age).items():
                    more[lag] += of[lag] * part * said[age] / through
        self.done = deque((one + other for one, other in zip(self.done, more, strict=True)), LAGS)


@dataclass
class ReferenceArms:
    """Arms of one task type."""

    arms: dict[str, ReferenceArm]

    @classmethod
    def of(cls, names: list[str], threshold: float, hour: int) -> ReferenceArms:
        """Whose first call is in `hour`."""

        def series() -> ReferenceSeries:
            return ReferenceSeries((*FEWER, 0.5), threshold, 10**9, least=1.5, varies=0.02)

        found = cls({name: ReferenceArm(series()) for name in names})
        for arm in found.arms.values():
            arm.series._begin(hour)  # with its first call, not its first answer
        return found

    def hour(self, hour: int, calls: dict[str, float], said: dict[str, list[float]]) -> list[tuple[str, Found]]:
        """Alarms of an hour."""
        for name, arm in self.arms.items():
            arm.calls.appendleft(calls[name])
        went = {name: [passed(arm.calls, age) for age in AGES] for name, arm in self.arms.items()}
        found = []
        for name, arm in self.arms.items():
            others = [other for other in self.arms if other != name]
            by_siblings = 0.0
            for age in AGES:
                through = sum(went[other][age] for other in others)
                if through > 0:
                    share = sum(said[other][age] for other in others) / through
                    by_siblings += min(share, 1.0) * went[name][age]
            found += [(name, one) for one in arm.hour(hour, said[name], by_siblings)]
        return found
