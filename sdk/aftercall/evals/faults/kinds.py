"""Lists the faults that tools can be given, and the nine failures that an agent should survive."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

FaultName = Literal["timeout", "error", "empty", "partial", "stale", "contradict", "slow"]
FailureName = Literal[
    "empty",
    "contradicting",
    "timeout",
    "partial",
    "out of policy",
    "retry limit",
    "budget",
    "approval",
    "stale memory",
]


class FaultKind(NamedTuple):
    """One kind of fault: what it does to a call of a tool, and which rules judge what the agent then did."""

    words: str
    rules: tuple[str, ...]
    """Kinds of rules of contracts about it; what they find decides before the case's own checks."""
    failure: FailureName | None
    """Which of the nine failures it is; None where it is none of them by itself."""


FAULTS: Final[dict[str, FaultKind]] = {
    "timeout": FaultKind("no answer in time", ("tool_failure_handled",), "timeout"),
    "error": FaultKind("an error", ("tool_failure_handled",), None),
    "empty": FaultKind("nothing found", ("no_answer_on_empty",), "empty"),
    "partial": FaultKind("a part of the result", ("partial_data",), "partial"),
    "stale": FaultKind("an old result", ("stale_data",), "stale memory"),
    "contradict": FaultKind("a result that contradicts itself", (), "contradicting"),
    "slow": FaultKind("a late answer", ("latency",), None),
}
FAILURES: Final[tuple[FailureName, ...]] = get_args(FailureName)
