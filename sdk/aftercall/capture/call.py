"""Gives the running code a handle on its call: to say more about it, and to learn its id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Never, cast

from aftercall.capture.draft import Draft
from aftercall.capture.ids import new_id
from aftercall.capture.timed import Timed
from aftercall.capture.verification import Verification

Label = str | float | bool | None
"""A value in `attrs`; integers are floats to a type checker."""


class Call:
    """A call that is running. No method raises or waits; after the end of the call none has an effect."""

    __slots__ = ("_draft",)

    def __init__(self, draft: Draft | None) -> None:
        self._draft = draft

    @property
    def call_id(self) -> str:
        """Id of the call, from its start on: what an outcome names."""
        return "" if self._draft is None else self._draft.call_id

    @property
    def verification(self) -> Verification | None:
        """What contracts say about the call, once it has ended; None without a guard."""
        judged = None if self._draft is None else self._draft.judged
        return None if judged is None else judged.verification

    def set(
        self,
        *,
        attrs: Mapping[str, Label] | None = None,
        model: str | None = None,
        config: str | None = None,
        segment: str | None = None,
        session_id: str | None = None,
        task_type: str | None = None,
        policy_version: str | None = None,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        cost_usd: float | None = None,
        error: str | None = None,
        rollout: Mapping[str, str | int] | None = None,
        input: str | None = None,  # noqa: A002  # the field's name
        output: str | None = None,
        **unknown: Never,
    ) -> None:
        """Set fields of the call, as section 1 of the reference has them; None leaves a field as it is.

        Args:
            attrs: labels, added to those that are there.
            model: that answered, where it is not the declared one.
            config: likewise.
            segment: context of the call.
            session_id: of the conversation.
            task_type: where it is known only now.
            policy_version: of the documents or rules that the agent acted on.
            tokens_in: instead of what the response says.
            tokens_out: likewise.
            cost_usd: likewise.
            error: the call failed without an exception.
            rollout: the canary it belongs to.
            input: sent only with `Client(capture="text")`.
            output: likewise.
            unknown: fields that do not exist make the event invalid.
        """
        if self._draft is None:
            return
        given = {
            "attrs": attrs,
            "model": model,
            "config": config,
            "segment": segment,
            "session_id": session_id,
            "task_type": task_type,
            "policy_version": policy_version,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "cost_usd": cost_usd,
            "error": error,
            "rollout": rollout,
            "input": input,
            "output": output,
        }
        self._draft.set(
            {name: value for name, value in given.items() if value is not None}, cast("dict[str, object]", unknown)
        )

    def observe(self, response: object) -> None:
        """Read model, tokens and cost of a response, later; of several responses they are added up.

        What a tracked function returns is observed by itself. A response that is observed twice counts once.

        Args:
            response: of OpenAI, Anthropic, Google or LiteLLM, or a dict of such a shape; anything else has no effect.
        """
        if self._draft is not None:
            self._draft.observe(response)

    def attempt(self, *, model: str, config: str | None = None) -> Timed:
        """Time a try at a model, as a context manager; one that raises is an `attempt` that failed.

        The model of the last try that did not raise is the `model` of the call.

        Args:
            model: that is tried.
            config: where it is not the call's.
        """
        fields: dict[str, Any] = {"model": model} if config is None else {"model": model, "config": config}
        return Timed(self._add_attempt, fields)

    def tool(self, name: str, **fields: object) -> Timed:
        """Time a tool that the call uses, as a context manager; it becomes one of `tool_calls`.

        Args:
            name: of the tool.
            fields: others of `ToolCall`, such as `items=3`, `stale=True`.
        """
        return Timed(self._add_tool, {"name": name, **fields})

    def _add_attempt(self, attempt: dict[str, Any]) -> None:
        if self._draft is not None:
            self._draft.add_attempt(attempt)

    def _add_tool(self, tool: dict[str, Any]) -> None:
        if self._draft is not None:
            self._draft.add_tool(tool)


class CallThatIsOff(Call):
    """The handle where the client is off: it has an id, as programs store it, and does nothing."""

    __slots__ = ("_id", "_verification")

    def __init__(self, call_id: str | None = None, verification: Verification | None = None) -> None:
        super().__init__(None)
        self._id = call_id
        self._verification = verification

    @property
    def call_id(self) -> str:
        """An id, made when it is first asked for."""
        if self._id is None:
            self._id = new_id()
        return self._id

    @property
    def verification(self) -> Verification | None:
        """As of a call that is captured."""
        return self._verification
