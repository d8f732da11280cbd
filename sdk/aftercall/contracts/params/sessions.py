"""Defines what the rules over the calls of one session take; `aftercall.contracts.sessions` judges them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aftercall.contracts.params.base import Duration, Glob, Positive, Room, RuleParams, Whole

NO_STATEMENT = (
    "severity: must not be 'critical' on a rule over sessions: its results make rates and alerts, never a statement,"
    " as the dataflow has no loop back into the ledger (take 'major')"
)


class OnSession(RuleParams):
    """A rule over the calls of one `session_id`, in their order."""

    @property
    def room(self) -> Room:
        """The session step."""
        return "session"

    @property
    def needs(self) -> frozenset[str]:
        """The session."""
        return frozenset({"session_id"})

    def refuse(self) -> str | None:
        """A severity that promises a statement."""
        return NO_STATEMENT if self.severity == "critical" else None


class SessionBudget(OnSession):
    """A session costs at most so many USD, calls, or tokens."""

    type: Literal["session_budget"]
    usd: Positive | None = None
    calls: Whole | None = None
    tokens: Whole | None = None

    @property
    def reads(self) -> frozenset[str]:
        """The session, and what the budget is of."""
        tokens = {"tokens", "tokens_in", "tokens_out"} if self.tokens is not None else set()
        return self.needs | tokens | ({"cost_usd"} if self.usd is not None else set())

    def refuse(self) -> str | None:
        """No budget, or a severity that promises a statement."""
        missing = self.usd is None and self.calls is None and self.tokens is None
        return super().refuse() or ("usd, calls, tokens: one of them is required (set the budget)" if missing else None)


class RepeatedRequest(OnSession):
    """A session does not make the same request (`attrs.input_hash`) again within `within`."""

    type: Literal["repeated_request"]
    within: Duration = "10m"

    @property
    def needs(self) -> frozenset[str]:
        """The session, and the hash of what the call was given."""
        return frozenset({"session_id", "attrs"})


class EscalateAfter(OnSession):
    """After so many `failures`, calls with an `error` or a failed tool, a session has escalated.

    It has where one of `tools` was called and worked, or a call has `attrs.escalated = true`.
    """

    type: Literal["escalate_after"]
    failures: Annotated[int, Field(ge=1, le=1000)]
    tools: Annotated[list[Glob], Field(max_length=1000)] = Field(default_factory=list)

    @property
    def reads(self) -> frozenset[str]:
        """The session, errors, tool calls, and a label."""
        return self.needs | {"error", "tool_calls", "attrs"}
