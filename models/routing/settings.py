"""What routing is set to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aftercall.times import DAY_US, HOUR_US, QUARTER_US
from models.routing.wanted import TaskRouting


@dataclass(frozen=True)
class RoutingSettings:
    """Times in microseconds of event time.

    Attributes:
        every_us: weigh at multiples of this, where anything came, and issue what matters.
        valid_for_us: life of a recommendation.
        floor: least weight of an arm within its limits, in [0, 1).
        min_evidence: resolved calls that share no unit, below which an arm is still `exploring`.
        memory_us: longest time constant with which older calls lose weight (`evidence.memory`); arms not called for
            this long are dropped.
        max_arms: how many arms of a task type compete, those with most calls: a config that is a hash makes thousands.
        retire_after_us: an arm without a call for so long is retired, if calls were due to it.
        tasks: what each task type asks for.
    """

    every_us: int = QUARTER_US
    valid_for_us: int = 6 * HOUR_US
    floor: float = 0.0
    min_evidence: int = 30
    memory_us: int = 7 * 24 * HOUR_US
    max_arms: int = 200
    retire_after_us: int = DAY_US
    tasks: Mapping[str, TaskRouting] = field(default_factory=dict)
