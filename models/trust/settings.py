"""What the trust score asks of the settings, and the version of its formula."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Final

from aftercall.times import HOUR_US
from models.trust.dimensions import WEIGHTS

FORMULA: Final = 1
"""Of `models.trust`; raise it with whatever changes a score that the same evidence gives."""


@dataclass(frozen=True)
class TrustSettings:
    """Settings of the score.

    Attributes:
        half_life_us: after so long a check weighs half; at least an hour.
        weights: of `TRUST_DIMENSIONS`, in their order; not negative, and they sum to 1.
        tiers: by name the least `score_low`; a score is in the highest tier that it reaches.
        feedback: sources whose statements are what users say of their agent.
        silence_us: by task type the horizon after which silence decides; absent where it does not.
    """

    half_life_us: int = 14 * 24 * HOUR_US
    weights: tuple[float, ...] = WEIGHTS
    tiers: Mapping[str, float] = field(default_factory=dict)
    feedback: frozenset[str] = frozenset({"user_feedback"})
    silence_us: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def formula(self) -> str:
        """Version of the formula, and a fingerprint of the settings that it depends on.

        >>> TrustSettings().formula
        '1-c2097563'
        >>> TrustSettings(half_life_us=HOUR_US).formula == TrustSettings().formula
        False
        """
        parts = (self.half_life_us, *self.weights, *sorted(self.feedback))
        return f"{FORMULA}-{blake2b(repr(parts).encode(), digest_size=4).hexdigest()}"

    @property
    def half_life_hours(self) -> float:
        """The half-life in hours."""
        return self.half_life_us / HOUR_US

    def tier(self, score_low: float) -> str | None:
        """The highest tier that the lower end of a score reaches."""
        reached = [(least, name) for name, least in self.tiers.items() if score_low >= least]
        return max(reached)[1] if reached else None
