"""Defines the section `[eval]` of the settings: agents whose requests have a shape of their own."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from flows.settings.sections import Name, Section


class EvalAgent(Section):
    """One agent, which `--agent NAME` names."""

    url: str | None = None
    """Of a service; one that ends with `/chat/completions` is spoken to as OpenAI's."""
    function: str | None = None
    command: str | None = None
    request: dict[str, Any] | None = None
    """The body of the request, in which `{input}`, `{id}` and `{metadata.NAME}` are filled in."""
    output: str = ""
    """The path of the output in the answer, such as `choices.0.message.content`."""
    tool_calls: str = ""
    cost: str = ""
    headers: dict[str, str] = Field(default={})
    """`$NAME` in a value is the variable NAME of the environment."""
    model: str = ""
    system: str = ""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        given = [name for name in ("url", "function", "command") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("must have one of url, function and command")
        return self


class Eval(Section):
    """Agents by name."""

    agent: dict[Name, EvalAgent] = Field(default={})
