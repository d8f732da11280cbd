"""Defines the sections on trust: how fast evidence ages, what its dimensions weigh, and which tiers there are."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from aftercall.trust_record import TRUST_WEIGHTS
from flows.settings.sections import Name, Section, Sources, Span

_SHORTEST: Final = timedelta(hours=1)
_NEAR: Final = 1e-6


def _long_enough(value: timedelta) -> timedelta:
    if value < _SHORTEST:
        raise ValueError("must be at least 1h: evidence is counted by the hour")
    return value


Weight = Annotated[float, Field(ge=0, le=1)]


class TrustWeights(Section):
    """What the dimensions weigh in the score; they sum to 1."""

    accuracy: Weight = TRUST_WEIGHTS["accuracy"]
    reliability: Weight = TRUST_WEIGHTS["reliability"]
    safety: Weight = TRUST_WEIGHTS["safety"]
    latency: Weight = TRUST_WEIGHTS["latency"]
    cost: Weight = TRUST_WEIGHTS["cost"]
    format: Weight = TRUST_WEIGHTS["format"]
    tool_discipline: Weight = TRUST_WEIGHTS["tool_discipline"]
    acceptance: Weight = TRUST_WEIGHTS["acceptance"]

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        total = sum(self.in_order())
        if abs(total - 1) > _NEAR:
            raise ValueError(f"must sum to 1 over all dimensions, also those that are not set; they sum to {total:.6g}")
        return self

    def in_order(self) -> tuple[float, ...]:
        """The weights in the order of `TRUST_WEIGHTS`."""
        return tuple(getattr(self, name) for name in TRUST_WEIGHTS)


class Trust(Section):
    """How trust is scored."""

    half_life: Annotated[Span, AfterValidator(_long_enough)] = timedelta(days=14)
    """After so long a check weighs half."""
    feedback: Sources = Field(default=["user_feedback"])
    """Sources whose statements are what users say: the dimension `acceptance`."""
    weights: TrustWeights = TrustWeights()
    tiers: dict[Name, Annotated[float, Field(ge=0, le=1000)]] = Field(default={})
    """By name the least `score_low`; without any, no row has a tier."""
