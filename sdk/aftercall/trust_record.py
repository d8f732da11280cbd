"""Defines the record of trust that the pipeline publishes; see docs/reference.md, section 3."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from pydantic import Field

from aftercall.records import Part, Record, Share, Time

TrustDimensionName = Literal[
    "accuracy", "reliability", "safety", "latency", "cost", "format", "tool_discipline", "acceptance"
]
TRUST_WEIGHTS: Final[Mapping[TrustDimensionName, float]] = MappingProxyType(
    {
        "accuracy": 0.30,
        "reliability": 0.15,
        "safety": 0.20,
        "latency": 0.05,
        "cost": 0.05,
        "format": 0.10,
        "tool_discipline": 0.10,
        "acceptance": 0.05,
    }
)
"""What the dimensions weigh by default, in the order in which they are listed everywhere."""


class TrustDimension(Part):
    """One dimension of trust: the rate of what was checked and passed, older checks weighing less."""

    dimension: TrustDimensionName
    weight: Share = Field(description="as the settings have it; the shares of what has evidence are scaled to sum to 1")
    rate: Share | None = Field(description="null where there is too little evidence")
    low: Share | None = Field(description="interval of `rate` of 95 %")
    high: Share | None
    n: float = Field(ge=0, description="checks, aged: after a half-life one weighs half")


class TrustMove(Part):
    """What one dimension moved the score by."""

    dimension: TrustDimensionName
    points: float = Field(description="of the score; the points of all dimensions sum to its difference")
    rule: str | None = Field(description="that did most of it, `contract.rule`; null where no rule did, or was asked")


class TrustRecord(Record):
    """How far an agent can be trusted, as of the end of an hour; topic `agent.trust`."""

    key_field: ClassVar[str | None] = "series"

    seq: int = Field(ge=1, description="records issued for this key so far")
    series: str = Field(description="JSON list of task type, model and config: the record's key")
    task_type: str
    model: str | None = Field(description="null for the task type as a whole")
    config: str | None
    as_of: Time = Field(description="event time, the end of an hour")
    score: float | None = Field(ge=0, le=1000, description="null without any evidence")
    score_low: float | None = Field(ge=0, le=1000, description="interval of `score` of 95 %; trust its lower end")
    score_high: float | None = Field(ge=0, le=1000)
    coverage: Share = Field(description="sum of the weights of dimensions with evidence")
    tier: str | None = Field(description="the highest of `[trust.tiers]` that `score_low` reaches; null without one")
    dimensions: list[TrustDimension] = Field(description="those that were checked")
    moved: list[TrustMove] = Field(description="against the row 24 h before, the largest first; empty without one")
    formula: str = Field(description="version of the formula and its settings; another one is another series")


def trust_key(task_type: str, model: str | None, config: str | None) -> str:
    """The key of a series.

    >>> trust_key("support", "large", "v2"), trust_key("support", None, None)
    ('["support","large","v2"]', '["support",null,null]')
    """
    return json.dumps([task_type, model, config], ensure_ascii=False, separators=(",", ":"))
