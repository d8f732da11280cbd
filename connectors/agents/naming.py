"""Makes the agent of a name as users write it: a URL, a function, or a command."""

from __future__ import annotations

import re
from typing import Final

from connectors.agents.agent import Agent
from connectors.agents.chat_agent import CHAT_ENDING, ChatAgent
from connectors.agents.command_agent import CommandAgent
from connectors.agents.http_agent import HttpAgent
from connectors.agents.python_agent import PythonAgent, function_at

_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def agent_named(given: str) -> Agent:
    """The agent.

    Args:
        given: `http://...` or `https://...`, `module:function`, or else a command.

    Raises:
        UsageError: it is none of these, cannot be imported, or needs a package that is missing.
    """
    if given.startswith(("http://", "https://")):
        is_chat = given.partition("#")[0].endswith(CHAT_ENDING)
        return ChatAgent(given) if is_chat else HttpAgent(given)
    return PythonAgent(given, function_at(given, "--agent")) if _FUNCTION.fullmatch(given) else CommandAgent(given)
