"""Defines what an agent is to a suite: something that answers a case."""

from __future__ import annotations

from typing import Protocol

from aftercall.evals.answer import Answer
from aftercall.evals.case import EvalCase


class Agent(Protocol):
    """One agent. `ask` is called from several threads at once, `close` once, after the last of them."""

    @property
    def name(self) -> str:
        """How it was named, without secrets; stored with the run."""

    def ask(self, case: EvalCase, timeout_s: float) -> Answer:
        """The answer to a case.

        Args:
            case: what to ask.
            timeout_s: how long it may take. An agent that can end what it began does so then; of one that cannot, the
                caller gives the thread up.

        Raises:
            AnswerError: there is no answer, for a reason that holds no text of the case.
            Exception: whatever a function of the user raises: of it only the class is shown.
        """

    def close(self) -> None:
        """Let connections and threads go."""
