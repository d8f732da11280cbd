"""Puts the tools of one case under faults, for the code that a `with` block runs or for a whole process.

The case is a context variable: it follows `await`, tasks and `asyncio.to_thread`. A thread that an agent starts itself
has it only where it is started under `contextvars.copy_context().run`; elsewhere its tools are not broken.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from threading import Lock
from typing import Final

from aftercall.errors import UsageError
from aftercall.evals.faults.injection import Injection, Injections
from aftercall.evals.faults.uses import SeenUse, append_use

INJECT: Final = "AFTERCALL_EVAL_INJECT"
SEED: Final = "AFTERCALL_EVAL_SEED"
CASE: Final = "AFTERCALL_EVAL_CASE"
LOG: Final = "AFTERCALL_EVAL_LOG"
MAX_SEEN: Final = 2000
"""More tool calls than rules judge, and more than an agent makes that ends."""


class CaseTools:
    """The tools of one case: which call of which tool is broken, and what became of each. Threads may share it."""

    def __init__(self, injections: Injections, case: str, log: Callable[[SeenUse], None] | None = None) -> None:
        """Start with no tool called.

        Args:
            injections: what is broken; without entries, uses are only recorded.
            case: the case's key.
            log: is given each use after it was recorded, on the thread of the tool.
        """
        self.case: Final = case
        self.has_ended = False
        """Whether no one waits for the case any more: an agent that still calls its tools then is ended by them."""
        self._injections = injections
        self._counts: Counter[str] = Counter()
        self._begun: list[SeenUse | None] = []
        self._log = log
        self._lock = Lock()

    @property
    def seen(self) -> list[SeenUse]:
        """Uses that have ended, in the order in which they began: of an agent that never ends, the first 2,000."""
        with self._lock:
            return [use for use in self._begun if use is not None]

    def begin(self, tool: str) -> tuple[int, int, Injection | None]:
        """Count a call of a tool: its place among all, its number among this tool's, and what breaks it."""
        with self._lock:
            self._counts[tool] += 1
            number, place = self._counts[tool], len(self._begun)
            if place < MAX_SEEN:
                self._begun.append(None)
        return place, number, self._injections.fault(self.case, tool, number)

    def end(self, place: int, use: SeenUse) -> None:
        """Record what became of it."""
        with self._lock:
            if place < MAX_SEEN:
                self._begun[place] = use
        if self._log is not None:
            self._log(use)


_CURRENT: Final[ContextVar[CaseTools | None]] = ContextVar("aftercall_case_tools", default=None)


@contextmanager
def under(injections: Injections, case: str, log: Callable[[SeenUse], None] | None = None) -> Iterator[CaseTools]:
    """Break the tools that the block calls; gives what records their uses.

    >>> with under(Injections.parse("empty:*"), "case-1") as tools:
    ...     tools.case
    'case-1'
    """
    tools = CaseTools(injections, case, log)
    token = _CURRENT.set(tools)
    try:
        yield tools
    finally:
        _CURRENT.reset(token)


def current_tools() -> CaseTools | None:
    """The case around this code, else that of the process's environment; None outside of evaluations.

    Raises:
        UsageError: the environment says to inject what cannot be read.
    """
    return _CURRENT.get() or _of_process()


@cache
def _of_process() -> CaseTools | None:
    """The environment is read once: it was made for this process, and reading it takes longer than most tools may."""
    text = os.environ.get(INJECT)
    if text is None:
        return None
    seed, case, log = (os.environ.get(name, "") for name in (SEED, CASE, LOG))
    try:
        number = int(seed or "0")
    except ValueError:
        raise UsageError(f"{SEED}: must be a whole number; got {seed[:40]!r} (unset it)") from None
    injections = Injections.parse(text, number, INJECT) if text else Injections()
    return CaseTools(injections, case, partial(append_use, log) if log else None)


def environment(injections: Injections, case: str, log: str | os.PathLike[str]) -> dict[str, str]:
    """What a process that runs one case needs in its environment, so that its tools are broken and its uses logged."""
    return {INJECT: injections.text, SEED: str(injections.seed), CASE: case, LOG: os.fspath(log)}
