"""What the settings of a task type ask of routing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.routing.arm_counts import Arm


@dataclass(frozen=True)
class TaskRouting:
    """What a task type asks of routing.

    Attributes:
        value: what a success is worth, USD; absent: the success rate alone decides.
        latency_weight: what a second of mean latency costs, USD; counts beside `value` only.
        max_cost_usd: greatest mean cost of a call.
        max_latency_ms: greatest mean latency of a call.
        max_latency_p95_ms: greatest latency of 95 % of the calls.
        min_success_rate: least success rate.
        allow: names "model/config" that alone may be served; absent: all.
        deny: names that may not be, allowed or not.
        pinned: the (model, config) that receives every call.
        segments: declared segments, each of which has a list of arms.
    """

    value: float | None = None
    latency_weight: float = 0.0
    max_cost_usd: float | None = None
    max_latency_ms: float | None = None
    max_latency_p95_ms: float | None = None
    min_success_rate: float | None = None
    allow: tuple[re.Pattern[str], ...] | None = None
    deny: tuple[re.Pattern[str], ...] = ()
    pinned: Arm | None = None
    segments: tuple[str, ...] = ()

    def allows(self, arm: Arm) -> bool:
        """Whether an arm may be served at all; the pinned one may.

        >>> TaskRouting(deny=(re.compile("large/.*"),)).allows(("large", "v2"))
        False
        """
        name = "/".join(arm)
        if arm == self.pinned:
            return True
        allowed = self.allow is None or any(one.fullmatch(name) for one in self.allow)
        return allowed and not any(one.fullmatch(name) for one in self.deny)
