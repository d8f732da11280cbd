"""Defines what the rules on a call's tool calls take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from aftercall.contracts.params.base import Duration, Glob, GlobList, RuleParams, Whole, Words

_TOOLS = frozenset({"tool_calls"})
_EVERY: list[str] = ["*"]
Followers = Annotated[list[Glob], Field(max_length=1000)]
Accepted = Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=1000)]


class _OnTools(RuleParams):
    @property
    def needs(self) -> frozenset[str]:
        """The list of tool calls."""
        return _TOOLS


class AllowedTools(_OnTools):
    """Each tool called matches one of `tools`."""

    type: Literal["allowed_tools"]
    tools: GlobList


class DeniedTools(_OnTools):
    """No tool called matches one of `tools`."""

    type: Literal["denied_tools"]
    tools: GlobList


class RequiredTools(_OnTools):
    """For each of `tools` there is a tool call that matches it."""

    type: Literal["required_tools"]
    tools: GlobList


class RetryLimit(_OnTools):
    """At most so many `attempts` of one tool call, and so many `calls` of one tool within a call."""

    type: Literal["retry_limit"]
    attempts: Whole | None = None
    calls: Whole | None = None
    tools: GlobList = Field(default_factory=lambda: [*_EVERY])

    def refuse(self) -> str | None:
        """No limit at all."""
        missing = self.attempts is None and self.calls is None
        return "attempts, calls: one of them is required (set how many are allowed)" if missing else None


class _Followed(_OnTools):
    """After each such tool call there must follow one of these."""

    tools: GlobList = Field(default_factory=lambda: [*_EVERY])
    escalations: Followers = Field(default_factory=list)
    accept: Accepted = Field(default_factory=list)

    @property
    def reads(self) -> frozenset[str]:
        """The tool calls, and where end states are accepted, a label."""
        return _TOOLS | {"attrs"} if self.accept else _TOOLS


class ToolFailureHandled(_Followed):
    """A failed tool call is followed by the same tool, a fallback or an escalation that worked, or by an end state."""

    type: Literal["tool_failure_handled"]
    fallbacks: Followers = Field(default_factory=list)


class NoAnswerOnEmpty(_Followed):
    """An empty tool result is followed by the same tool or one of `sources` with a result, or an escalation."""

    type: Literal["no_answer_on_empty"]
    sources: Followers = Field(default_factory=list)


class PartialData(_Followed):
    """A partial tool result is followed by the same tool or one of `sources` with a whole one, or an escalation."""

    type: Literal["partial_data"]
    sources: Followers = Field(default_factory=list)


class StaleData(_OnTools):
    """At most `allow` tool results were marked stale; or none is older than `max_age` at the call."""

    type: Literal["stale_data"]
    allow: Whole = 0
    max_age: Duration | None = None
    tools: GlobList = Field(default_factory=lambda: [*_EVERY])


class Documents(_OnTools):
    """What tools gave back: of the `latest` version, at most `max_age` old, none of `denied`."""

    type: Literal["documents"]
    latest: Annotated[dict[Glob, Annotated[str, Field(max_length=256)]], Field(max_length=1000)] = Field(
        default_factory=dict
    )
    max_age: Duration | None = None
    denied: Followers = Field(default_factory=list)

    def refuse(self) -> str | None:
        """Nothing to look for."""
        missing = not self.latest and self.max_age is None and not self.denied
        return "latest, max_age, denied: one of them is required (set what documents must be)" if missing else None


class Approval(_OnTools):
    """A call of one of `tools` needs `attrs.approved = true`, or an earlier call of one of `approvers`."""

    type: Literal["approval"]
    tools: GlobList
    approvers: Followers = Field(default_factory=list)

    @property
    def reads(self) -> frozenset[str]:
        """The tool calls, and a label."""
        return _TOOLS | {"attrs"}


class Escalation(_OnTools):
    """Where `when` holds, one of `tools` is called, or `attrs.escalated` is true."""

    type: Literal["escalation"]
    tools: Followers = Field(default_factory=list)

    @property
    def needs(self) -> frozenset[str]:
        """Tool calls or a label: either will do."""
        return frozenset()

    @property
    def reads(self) -> frozenset[str]:
        """Tool calls and a label."""
        return _TOOLS | {"attrs"}

    def refuse(self) -> str | None:
        """No condition: then every call would have to escalate."""
        return None if self.when else 'when: is required (say when it must escalate, such as { "attrs.risk" = "high" })'


class SafeEndState(RuleParams):
    """`attrs.end_state` is one of `allowed`."""

    type: Literal["safe_end_state"]
    allowed: Words

    @property
    def needs(self) -> frozenset[str]:
        """A label."""
        return frozenset({"attrs"})
