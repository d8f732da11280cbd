"""Defines words with a fixed meaning on the wire and in every room."""

from __future__ import annotations

from typing import Final

CALL: Final = "call"
"""Source of the failure that a call's own `error` implies."""
SILENCE: Final = "silence"
"""Source of the verdict that a task type's `silence` setting gives at the horizon."""
OTHER: Final = "__other__"
"""Stands for groups, task types, sources and errors beyond their caps."""
EVERY_TASK: Final = "*"
"""`task_type` of an alert over all task types."""
RESERVED_SOURCES: Final = (CALL, SILENCE, OTHER)
"""Sources with a meaning of their own; producers may not use them."""
RESERVED_NAMES: Final = frozenset({EVERY_TASK, OTHER})
"""Task types, models and configs with a meaning of their own; producers may not use them."""
DEFAULT_PASS_AT: Final = 0.7
"""A score from here on is a success, unless its source has a rule."""

MAX_ATTEMPTS: Final = 32
"""At most so many tries of one call."""
FILLED_ONCE: Final = (
    "error",
    "session_id",
    "latency_ms",
    "cost_usd",
    "tokens",
    "attrs",
    "attempts",
    "parent_call_id",
    "tool_calls",
    "policy_version",
    "input",
    "output",
    "recommendation_id",
    "propensity",
    "rollout",
)
"""Fields of a call that a second record of it may give where the first did not; `tokens`: any of the three."""
