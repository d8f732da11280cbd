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

CONTRACT: Final = "contract"
"""Source of the statements of contracts: those that the pipeline makes itself, and those of producers."""
CONTRACT_PREFIX: Final = "contract:"
"""How the ids of the pipeline's own statements of that source begin; the rest is name and version of the contract."""
MAX_CHECKS: Final = 64
"""At most so many rules of contracts are checked of one call."""
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
"""Fields of a call that a second record of it may give where the first did not; `tokens`: any of the three.

A record with `checks` counts as one that gives `input` and `output` too: what these say has been judged by then."""
CODED_OF_TOOLS: Final = ("name", "ok", "error", "attempts", "stale")
"""What most rules on tool calls read of each: tool calls that are equal in these are alike for them."""
LISTS_NO_TOOLS: Final = 1 << 26
"""Beside the bits of `FILLED_ONCE`: the record has `tool_calls`, as a number or an empty list, so rules have judged it
by these."""
