"""Holds what a suite is asking on this thread or task: which case, and what goes with the question to the agent."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Asked:
    """One question of a suite: a case, for the `repeat`-th time and in the `attempt`-th attempt, both from 0."""

    case_id: str
    repeat: int = 0
    attempt: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that a command gets beside those of this process."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that a request to a service has beside its own."""

    @property
    def key(self) -> tuple[str, int, int]:
        """What one result is about."""
        return self.case_id, self.repeat, self.attempt


ASKED: Final[ContextVar[Asked | None]] = ContextVar("aftercall_asked", default=None)
"""None outside of suites."""


def environment_of_case() -> Mapping[str, str]:
    """The variables of the question that is being asked; empty where there are none."""
    asked = ASKED.get()
    return {} if asked is None else asked.environment


def headers_of_case() -> Mapping[str, str]:
    """The headers of the question that is being asked; empty where there are none."""
    asked = ASKED.get()
    return {} if asked is None else asked.headers
