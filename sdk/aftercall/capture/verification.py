"""Defines what contracts say about one call, and the future in which a program gets it."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import suppress
from threading import RLock
from typing import Any, NamedTuple


class CheckResult(NamedTuple):
    """What one rule of a contract made of a call.

    `result` is `pass`, `fail`, `not_applicable` or `error`; of the last two, `details` is the reason. `actual` and
    `threshold` are what was compared, where there is such a thing. Nothing in it is a piece of a text of the call.
    """

    contract: str
    version: str
    hash: str
    rule: str
    type: str
    severity: str
    result: str
    actual: float | str | None = None
    threshold: float | str | None = None
    details: str = ""

    @property
    def passed(self) -> bool | None:
        """True or False where the rule was checked, else None."""
        return {"pass": True, "fail": False}.get(self.result)


class Judgement(NamedTuple):
    """What the contracts of a guard made of one call.

    `passed`: whether no rule was broken; None where none was checked. `violations`: the checks that failed. `reason`:
    why the call was not judged; None where it was.
    """

    call_id: str
    passed: bool | None = None
    violations: tuple[CheckResult, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    reason: str | None = None


class Verification:
    """The judgement of a call, as soon as it is there: it comes after the response, on another thread.

    `result()` waits for it, and so does `await`; both give a `Judgement`. The properties never wait: until `done()`
    they say what holds of a call of which nothing was checked.
    """

    __slots__ = ("__weakref__", "_judgement", "_waiting")

    def __init__(self, judgement: Judgement | None = None) -> None:
        self._judgement = judgement
        self._waiting: list[Callable[[], object]] | None = None

    def done(self) -> bool:
        """Whether the judgement is there."""
        return self._judgement is not None

    def result(self, timeout: float | None = None) -> Judgement:
        """Wait for the judgement, at most so many seconds.

        Raises:
            TimeoutError: it is not there by then.
        """
        from threading import Event

        ended = Event()
        self.when_done(ended.set)
        ended.wait(timeout)
        if self._judgement is None:
            raise TimeoutError(f"the call was not judged within {timeout} s")
        return self._judgement

    def __await__(self) -> Generator[Any, None, Judgement]:
        if self._judgement is None:
            from asyncio import get_running_loop

            loop = get_running_loop()
            future = loop.create_future()

            def settle() -> None:
                if not future.done():
                    future.set_result(None)

            self.when_done(lambda: loop.call_soon_threadsafe(settle))
            yield from future
        assert self._judgement is not None  # noqa: S101  # the future waited for it
        return self._judgement

    @property
    def passed(self) -> bool | None:
        """Whether no rule was broken; None where none was checked, or until it is done."""
        return None if self._judgement is None else self._judgement.passed

    @property
    def violations(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return () if self._judgement is None else self._judgement.violations

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """One for each rule of the contracts that judge the call."""
        return () if self._judgement is None else self._judgement.checks

    @property
    def reason(self) -> str | None:
        """Why the call was not judged; None where it was, or until it is done."""
        return None if self._judgement is None else self._judgement.reason

    def when_done(self, then: Callable[[], object]) -> None:
        """Call this once the judgement is there, on the thread that brings it; at once where it is there."""
        with _lock:
            if self._judgement is None:
                self._waiting = [*(self._waiting or ()), then]
                return
        then()

    def settle(self, judgement: Judgement) -> bool:
        """Bring the judgement; whether it is the first, which counts."""
        with _lock:
            if self._judgement is not None:
                return False
            self._judgement = judgement
            waiting, self._waiting = self._waiting, None
        for then in waiting or ():
            with suppress(Exception):  # such as that of an event loop which is closed: none waits there any more
                then()
        return True


_lock = RLock()
"""Of all verifications: it is held for an assignment. Reentrant, as a finalizer may settle one amid another's."""


def _replace_lock() -> None:
    global _lock  # noqa: PLW0603  # in a forked child its owner may be a thread that is not there
    _lock = RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_lock)
