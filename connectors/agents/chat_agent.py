"""Asks a chat model or agent that speaks as OpenAI's chat completions do, through the `openai` client."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from aftercall.errors import UsageError
from aftercall.evals.answer import Answer, AnswerError, LateAnswerError, answer_of
from aftercall.evals.asked import headers_of_case
from aftercall.evals.case import EvalCase

CHAT_ENDING: Final = "/chat/completions"
_NO_KEY: Final = "none"
"""Services of one's own often want no key, and the client insists on one."""
_NS_PER_MS: Final = 1e6


class ChatAgent:
    """A model behind `.../chat/completions`. An input that is a list of messages is sent as it is."""

    def __init__(self, url: str, model: str = "", system: str = "", headers: Mapping[str, str] | None = None) -> None:
        """Make the client, which takes its key from OPENAI_API_KEY.

        Args:
            url: ends with `/chat/completions`; the model may follow behind a `#`.
            model: which is asked, where the address does not say it.
            system: a first message of the role system.
            headers: sent with each request.

        Raises:
            UsageError: the client is not installed, or no model is named.
        """
        import os

        try:
            import openai
        except ImportError:
            raise UsageError(
                f"--agent: an address that ends with {CHAT_ENDING} needs the client of OpenAI, which is not installed"
                " (install the package `openai`)"
            ) from None
        address, _, named = url.partition("#")
        self._model = named or model
        if not self._model:
            raise UsageError(
                f"--agent: needs the name of a model; got {address[:80]!r} (write it behind the URL: #MODEL)"
            )
        self.name: Final = f"{address.partition('?')[0]}#{self._model}"
        self._system = system
        self._errors = openai.OpenAIError
        self._client = openai.OpenAI(
            base_url=address.removesuffix(CHAT_ENDING),
            api_key=os.environ.get("OPENAI_API_KEY", _NO_KEY),
            default_headers=dict(headers or {}),
            max_retries=0,  # what is measured is the agent, and the limit of time is for one question
        )

    def ask(self, case: EvalCase, timeout_s: float) -> Answer:
        """As `Agent.ask`."""
        began = time.perf_counter_ns()
        try:
            reply = self._client.chat.completions.create(
                model=self._model,
                messages=self._messages(case),
                timeout=timeout_s,
                extra_headers=dict(headers_of_case()),
            )
        except self._errors as wrong:
            raise _error(wrong) from None
        return answer_of(_read(reply), (time.perf_counter_ns() - began) / _NS_PER_MS)

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def _messages(self, case: EvalCase) -> list[Any]:
        if isinstance(case.input, list) and all(isinstance(one, Mapping) and "role" in one for one in case.input):
            return list(case.input)
        asked = {"role": "user", "content": case.question}
        return [{"role": "system", "content": self._system}, asked] if self._system else [asked]


def _read(reply: Any) -> dict[str, Any]:
    """Text, tool calls and tokens of a reply; a reply of tool calls alone has these as its output."""
    if not reply.choices:
        raise AnswerError("the answer has no choices")
    message = reply.choices[0].message
    called = [one for one in message.tool_calls or () if getattr(one, "function", None) is not None]
    tools = [{"name": one.function.name, "input": one.function.arguments} for one in called]
    found: dict[str, Any] = {"output": message.content or (tools or None), "tool_calls": tools, "model": reply.model}
    if reply.usage is not None:
        found |= {"tokens_in": reply.usage.prompt_tokens, "tokens_out": reply.usage.completion_tokens}
    return found


def _error(wrong: Exception) -> AnswerError:
    """What went wrong, without the body of the answer, which may quote the question."""
    status = getattr(wrong, "status_code", None)
    if status is not None:
        return AnswerError(f"the agent answered with status {status}")
    kind = type(wrong).__name__
    return LateAnswerError() if "Timeout" in kind else AnswerError(f"the agent cannot be reached: {kind}")
