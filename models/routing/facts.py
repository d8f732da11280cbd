"""What is known of an arm when its weight is decided."""

from __future__ import annotations

from typing import NamedTuple


class Usage(NamedTuple):
    """What the calls of an arm took, older ones discounted; `costed` and `timed` calls are behind the means.

    `cost_spread` and `latency_spread` are the mean squared deviations, `slow` calls took longer than
    `max_latency_p95_ms`.
    """

    cost_usd: float | None = None
    costed: float = 0.0
    cost_spread: float = 0.0
    latency_ms: float | None = None
    timed: float = 0.0
    latency_spread: float = 0.0
    slow: float = 0.0


class ArmFacts(NamedTuple):
    """Discounted counts of one arm, and what its calls took.

    `effect`: design effect, so many outcomes tell as much as one that shares no unit with others; >= 1.
    `explore`: share of the calls that is set apart to explore this arm. `retired`: it is not called any more.
    `note`: what `reason` says of it, without a name; empty where there is nothing to say.
    """

    successes: float = 0.0
    failures: float = 0.0
    effect: float = 1.0
    uses: Usage = Usage()
    explore: float = 0.0
    retired: bool = False
    note: str = ""

    @property
    def n(self) -> int:
        """Resolved calls."""
        return round(self.successes + self.failures)

    @property
    def independent(self) -> int:
        """As many independent ones tell as much."""
        return round((self.successes + self.failures) / self.effect)
