"""Finds the agent that `--agent` names: a URL, a function, a command, or one of the settings."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

from aftercall.errors import UsageError
from connectors.agents.agent import Agent
from connectors.agents.chat_agent import CHAT_ENDING, ChatAgent
from connectors.agents.command_agent import CommandAgent
from connectors.agents.http_agent import HttpAgent, Shape
from connectors.agents.naming import agent_named
from connectors.agents.python_agent import PythonAgent, function_at
from flows.settings.evals import Eval, EvalAgent

_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def agent_of(given: str, settings: Eval) -> Agent:
    """The agent.

    Args:
        given: `http://...` or `https://...`, `module:function`, the name of an `[eval.agent.NAME]`, or else a command.
        settings: with the agents by name.

    Raises:
        UsageError: it is none of these, cannot be imported, or needs a package or a variable that is missing.
    """
    named = settings.agent.get(given)
    if named is not None:
        return _of_settings(given, named)
    return agent_named(given)


def _of_settings(name: str, agent: EvalAgent) -> Agent:
    if agent.url is not None:
        return _service(agent.url, agent, f"[eval.agent.{name}]")
    if agent.function is not None:
        return PythonAgent(agent.function, function_at(agent.function, f"[eval.agent.{name}], function"))
    return CommandAgent(agent.command or "")


def _service(url: str, agent: EvalAgent, place: str) -> Agent:
    headers = {name: _filled(value, os.environ, place) for name, value in agent.headers.items()}
    if agent.request is None and url.partition("#")[0].endswith(CHAT_ENDING):
        return ChatAgent(url, agent.model, agent.system, headers)
    shape = Shape(output=agent.output, tool_calls=agent.tool_calls, cost=agent.cost)
    if agent.request is not None:
        shape = Shape(agent.request, agent.output, agent.tool_calls, agent.cost)
    return HttpAgent(url, shape, headers)


def _filled(value: str, variables: Mapping[str, str], place: str) -> str:
    """A header with the variables of the environment that it names: keys do not stand in files."""

    def variable(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in variables:
            raise UsageError(f"{place}, headers: names the variable {name}, which is not set (export it)")
        return variables[name]

    return _VARIABLE.sub(variable, value)
