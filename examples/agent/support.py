"""Answers a shop's customers by rules and three tools, without a model: `answer`, wrong on purpose, and `mended`.

A suite finds out where: `aftercall eval run cases.jsonl --agent support:answer --contract support.toml`.
"""  # noqa: INP001 - of one module

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

from aftercall.evals import tool

POLICIES: Final = {
    "return": "You may return goods within 30 days.",
    "fee": "Returns cost nothing.",
    "weekday": "We are open from 9 to 17.",
    "sunday": "We are closed on Sundays.",
    "gift": "Gift cards cannot be returned.",
}
ORDERS: Final = {"17": {"state": "delivered", "paid": 40}, "18": {"state": "sent", "paid": 900}}
HANDED_OVER: Final = "A colleague will answer you."
TRIES: Final = 2


@tool
def search(words: str) -> list[str]:
    """Policies whose key stands in the question."""
    return [text for key, text in POLICIES.items() if key in words.lower()]


@tool
def order(number: str) -> dict[str, Any]:
    """An order."""
    return ORDERS[number]


@tool
def refund(number: str) -> str:
    """Pay an order back."""
    return f"Order {number} was refunded."


class Case:
    """One question: what was called for it, and how it ended."""

    def __init__(self, *, mended: bool) -> None:
        self.mended = mended
        self.tool_calls: list[dict[str, Any]] = []

    def use(self, called: Callable[[str], Any], argument: str) -> Any:
        """Call a tool, again if it fails; None where it failed for good."""
        used: dict[str, Any] = {"name": called.__name__, "ok": False, "attempts": 0}
        self.tool_calls.append(used)
        for _ in range(TRIES if self.mended else 5):  # wrong on purpose: it tries too often
            used["attempts"] += 1
            try:
                found = called(argument)
            except (LookupError, OSError, RuntimeError) as wrong:
                used["error"] = type(wrong).__name__
                continue
            used["ok"] = True
            used.pop("error", None)
            used["items"] = len(found) if isinstance(found, list) else 1
            return found
        return None

    def hand_over(self) -> str:
        """Leave it to a person."""
        self.tool_calls.append({"name": "escalate", "ok": True})
        return HANDED_OVER

    def reply(self, question: str) -> str:
        """The answer to one question."""
        number = re.search(r"order (\d+)", question)
        if "refund" in question and number:
            return self._refund(number[1])
        if "status" in question and number:
            return self._status(number[1])
        return self._policy(question)

    def _policy(self, question: str) -> str:
        asked = question if self.mended else question.replace("Sunday", "weekday")  # wrong on purpose
        found = self.use(search, asked)
        if not found:
            return self.hand_over() if self.mended else "You may return goods within 30 days."  # wrong on purpose
        return str(found[0])

    def _status(self, number: str) -> str:
        found = self.use(order, number)
        if not isinstance(found, dict):
            return self.hand_over()
        # Wrong on purpose: it is asked for as JSON.
        return json.dumps({"order": number, **found}) if self.mended else f"Order {number} is {found['state']}."

    def _refund(self, number: str) -> str:
        found = self.use(order, number)
        if not isinstance(found, dict):
            return self.hand_over()
        if found["paid"] > 100 and self.mended:  # wrong on purpose: large sums need a person
            self.tool_calls.append({"name": "ask_lead", "ok": True})
        done = self.use(refund, number)
        return str(done) if done else self.hand_over()


def _answered(question: Any, *, mended: bool) -> dict[str, Any]:
    case = Case(mended=mended)
    output = case.reply(question if isinstance(question, str) else json.dumps(question))  # a conversation
    return {"output": output, "tool_calls": case.tool_calls, "attrs": {"escalated": output == HANDED_OVER}}


def answer(question: Any) -> dict[str, Any]:
    """What the agent answers, wrong on purpose in five ways."""
    return _answered(question, mended=False)


def mended(question: Any) -> dict[str, Any]:
    """The same, put right."""
    return _answered(question, mended=True)
