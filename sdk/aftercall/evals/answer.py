"""Defines what an agent answered to a case, and reads it from what agents give back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aftercall.errors import UserError
from aftercall.evals.case import EvalCase, json_text
from aftercall.times import format_time

MAX_ANSWER: Final = 1024 * 1024
"""Bytes of UTF-8 that an answer may have."""
_OWN: Final = ("output", "tool_calls", "attrs", "cost", "cost_usd", "latency_ms")


class AnswerError(UserError):
    """An agent gave nothing, or nothing that an answer can be made of. The text holds no piece of the answer."""


class LateAnswerError(AnswerError):
    """An agent did not answer in time, and what it had begun was ended."""

    def __init__(self, sentence: str = "took too long") -> None:
        super().__init__(sentence)


@dataclass(frozen=True)
class Answer:
    """What an agent answered.

    `output` is text or JSON. `tool_calls`, where the agent reports them, are as in `AgentCall`; None where it does not,
    so that rules on tools are not applicable. `cost` is in USD, `latency_ms` as the caller measured it. `fields` are
    further fields of `AgentCall`, such as `model` or `tokens_out`.
    """

    output: Any
    tool_calls: tuple[Mapping[str, Any], ...] | None = None
    attrs: Mapping[str, Any] = field(default_factory=dict)
    cost: float | None = None
    latency_ms: float = math.nan
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The output as text: as it is, or as JSON."""
        return self.output if isinstance(self.output, str) else json_text(self.output)

    def record(self, case: EvalCase, at_us: int) -> dict[str, Any]:
        """The answer as a record of the wire, for the rules of contracts; a session of one call.

        Args:
            case: what was asked. Its `metadata.task_type` is the call's task type, else `eval`.
            at_us: when it was asked, in microseconds since 1970 UTC.
        """
        found: dict[str, Any] = {
            "task_type": case.metadata.get("task_type", "eval"),
            "model": "agent",
            "config": "default",
            "session_id": case.id,
            **self.fields,
            "call_id": case.id,
            "occurred_at": format_time(at_us),
            "input": case.question,
            "output": self.text,
            "attrs": dict(self.attrs),
        }
        found |= {} if math.isnan(self.latency_ms) else {"latency_ms": self.latency_ms}
        found |= {} if self.cost is None else {"cost_usd": self.cost}
        return found if self.tool_calls is None else found | {"tool_calls": list(self.tool_calls)}


def answer_of(returned: Any, latency_ms: float) -> Answer:
    """The answer that an agent gave: text, JSON, or an object with `output` and perhaps `tool_calls`, `attrs`, `cost`.

    Args:
        returned: what it gave.
        latency_ms: how long it took, unless the object says it.

    Raises:
        AnswerError: it is nothing, too much, no Unicode, or no JSON.

    >>> answer_of("30 days", 12.0).output
    '30 days'
    >>> answer_of({"output": {"days": 30}, "cost_usd": 0.002}, 12.0).cost
    0.002
    """
    if isinstance(returned, Answer):
        found = returned if not math.isnan(returned.latency_ms) else _timed(returned, latency_ms)
    elif isinstance(returned, Mapping) and "output" in returned:
        found = _of_object(returned, latency_ms)
    else:
        found = Answer(returned, latency_ms=latency_ms)
    _refuse(found)
    return found


def decoded(raw: bytes) -> str:
    """The text of an answer that came as bytes.

    Raises:
        AnswerError: it has too many bytes, or they are no UTF-8.
    """
    if len(raw) > MAX_ANSWER:
        raise AnswerError(f"the answer has more than {MAX_ANSWER:,} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as wrong:
        raise AnswerError(f"the answer is no UTF-8: byte {wrong.start:,} does not belong there") from None


def _timed(answer: Answer, latency_ms: float) -> Answer:
    return Answer(answer.output, answer.tool_calls, answer.attrs, answer.cost, latency_ms, answer.fields)


def _of_object(given: Mapping[str, Any], latency_ms: float) -> Answer:
    tools, attrs = given.get("tool_calls"), given.get("attrs")
    if tools is not None and not isinstance(tools, list | tuple):
        raise AnswerError("the answer's tool_calls are no list")
    if attrs is not None and not isinstance(attrs, Mapping):
        raise AnswerError("the answer's attrs are no object")
    cost = given.get("cost_usd", given.get("cost"))
    own = given.get("latency_ms")
    return Answer(
        given["output"],
        None if tools is None else tuple(tools),
        attrs or {},
        _number(cost),
        latency_ms if (known := _number(own)) is None else known,
        {str(key): value for key, value in given.items() if key not in _OWN},
    )


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12
    return float(value) if known else None


def _refuse(answer: Answer) -> None:
    if answer.output is None or answer.output == "":
        raise AnswerError("the agent returned nothing")
    if not isinstance(answer.output, str | bool | int | float | Mapping | list | tuple):
        raise AnswerError(f"the agent returned a {type(answer.output).__name__}, which is neither text nor JSON")
    try:
        size = len(answer.text.encode("utf-8"))
    except UnicodeEncodeError:
        raise AnswerError("the answer is no Unicode text: it holds halves of characters") from None
    except (ValueError, RecursionError):
        raise AnswerError("the answer is no JSON: it holds itself, or is nested too deep") from None
    if size > MAX_ANSWER:
        raise AnswerError(f"the answer has more than {MAX_ANSWER:,} bytes")
