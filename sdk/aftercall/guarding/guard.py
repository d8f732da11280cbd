"""Offers the guard to users: a call, its response at once, and later what contracts say about it."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from aftercall.capture.call import Label
from aftercall.capture.captures import CallResult
from aftercall.capture.settings import Arranged
from aftercall.capture.verification import Judgement, Verification
from aftercall.capture.wrapping import COROUTINE, code_flags, declared_of
from aftercall.destinations import is_disabled
from aftercall.emitter import process
from aftercall.guarding.counts import NEVER_ENDED, OFF, GuardStats
from aftercall.guarding.guarded_call import GuardedCall
from aftercall.guarding.loading import loaded, only_task
from aftercall.guarding.worker import OnViolation, Worker

if TYPE_CHECKING:
    from aftercall.client import Client

_R = TypeVar("_R")
_MIB: Final = 1 << 20
_EXIT_S: Final = 2.0


class GuardedResult(CallResult[_R]):
    """What `guard.call` gives: the response, the id of the call, and the future of its judgement."""

    __slots__ = ()

    @property
    def verification(self) -> Verification:
        """What contracts say about the call, once it has ended."""
        found = super().verification
        if found is None:  # no call could be made of it, as the log says
            found = Verification()
            found.settle(Judgement(self.call_id, reason=NEVER_ENDED))
        return found


class Guard:
    """Judges calls by contracts, after their responses and on another thread.

    Nothing of it raises into the agent or makes it wait. What cannot be judged is counted, and its verification says
    why. Threads, tasks and forked children may share it.
    """

    def __init__(
        self,
        contracts: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        client: Client,
        *,
        task_type: str | None = None,
        model: str | None = None,
        config: str | None = None,
        on_violation: OnViolation | None = None,
        queue_calls: int = 1000,
        queue_bytes: int = 16 * _MIB,
    ) -> None:
        """See `guard`."""
        paths = [contracts] if isinstance(contracts, str | os.PathLike) else list(contracts)
        found, functions = loaded([Path(path) for path in paths])
        self._client = client
        self._declared = {"task_type": task_type or only_task(found), "model": model, "config": config}
        self._make = functools.partial(Worker, found, functions, on_violation, queue_calls, queue_bytes)
        self.worker = self._make()
        self.is_off = is_disabled()
        self.worker.closed = self.is_off
        self._holds = False
        process.watch(self)

    # --- the response path ---

    def begin(self) -> GuardedCall:
        """Begin a call; `track(guard=...)` calls it."""
        call = GuardedCall(self)
        if self.is_off:
            call.refused(OFF)
        return call

    def call(
        self,
        text: str,
        agent: Callable[..., _R],
        /,
        *args: Any,
        task_type: str | None = None,
        arm: Arranged | None = None,
        model: str | None = None,
        config: str | None = None,
        segment: str | None = None,
        session_id: str | None = None,
        call_id: str | None = None,
        attrs: Mapping[str, Label] | None = None,
        **kwargs: Any,
    ) -> GuardedResult[_R]:
        """Run an agent, and get its response at once; a stream is judged when it ends.

        Args:
            text: the first argument of the agent.
            agent: a function, which may be a tracked one; what it raises is raised here.
            args: further arguments of the agent.
            task_type: as in `track`, like those down to `attrs`; where absent, what a tracked agent declares, else
                what the guard was made with, else the only task of its contracts.
            arm: as in `track`.
            model: as in `track`.
            config: as in `track`.
            segment: as in `track`.
            session_id: as in `track`.
            call_id: as in `track`.
            attrs: as in `track`.
            kwargs: further arguments of the agent.
        """
        given = {
            "task_type": task_type,
            "arm": arm,
            "model": model,
            "config": config,
            "segment": segment,
            "session_id": session_id,
            "attrs": attrs,
        }
        tracker = self._client.track(**self._all_declared(agent, given), call_id=call_id, guard=self)
        call, run = tracker.around(agent, call_id)
        return GuardedResult(run(text, *args, **kwargs), call)

    @overload
    async def acall(
        self, text: str, agent: Callable[..., Awaitable[_R]], /, *args: Any, **kwargs: Any
    ) -> GuardedResult[_R]: ...

    @overload
    async def acall(self, text: str, agent: Callable[..., _R], /, *args: Any, **kwargs: Any) -> GuardedResult[_R]: ...

    async def acall(self, text: str, agent: Callable[..., Any], /, *args: Any, **kwargs: Any) -> GuardedResult[Any]:
        """As `call`, of an agent that is awaited, or gives an async stream.

        Args:
            text: the first argument of the agent.
            agent: a coroutine function, or any other function.
            args: as in `call`.
            kwargs: as in `call`.
        """
        result: GuardedResult[Any] = self.call(text, agent, *args, **kwargs)
        if code_flags(agent) & COROUTINE or hasattr(type(result.response), "__await__"):
            result.response = await result.response
        return result

    def _all_declared(self, agent: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """What is known of the call: what is given wins over what a tracked agent declares, that over the guard's."""
        layers = (self._declared, declared_of(agent), given)
        return {name: value for layer in layers for name, value in layer.items() if value is not None}

    # --- the rest ---

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all calls that have ended are judged, at most so many seconds; returns whether they are."""
        return self.worker.flush(timeout)

    def close(self, timeout: float = 2.0) -> None:
        """Flush, then stop. Calls that end later are captured as before, and not judged."""
        self.worker.close(timeout)
        process.forget(self)

    def stats(self) -> GuardStats:
        """How many calls were judged, wait, or could not be judged, at one moment."""
        return self.worker.stats()

    # --- forks and exits ---

    def before_fork(self, timeout_s: float) -> None:
        """Wait for a call that is being judged."""
        self._holds = self.worker.judging.acquire(timeout=timeout_s)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._holds:
            self.worker.judging.release()

    def after_fork_in_child(self) -> object:
        """Begin with nothing."""
        old, self.worker = self.worker, self._make()
        self.worker.closed = old.closed
        old.forked()
        return old

    def at_exit(self, began: float) -> None:
        """Settle all calls within two seconds after the process began to end."""
        from time import monotonic

        self.close(max(0.0, began + _EXIT_S - monotonic()))


def guard(
    contracts: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    client: Client,
    *,
    task_type: str | None = None,
    model: str | None = None,
    config: str | None = None,
    on_violation: OnViolation | None = None,
    queue_calls: int = 1000,
    queue_bytes: int = 16 * _MIB,
) -> Guard:
    """Make a guard: it judges the calls of a client by contracts, and puts what it finds into their events.

    It takes a tenth of a second: files are read, and what rules need is loaded, so that nothing can fail later.

    Args:
        contracts: a contract file, a folder of them, or several of both.
        client: that captures the calls; one without a destination is judged too.
        task_type: of calls that say none; where absent, the only task of the contracts.
        model: likewise.
        config: likewise.
        on_violation: called with the `Judgement` of each call that broke a rule, on a thread of its own.
        queue_calls: so many calls may wait to be judged; further ones are not judged, and counted.
        queue_bytes: likewise.

    Raises:
        ContractError: a contract is wrong; one sentence.
        UsageError: a rule needs a package that is not installed; the sentence says which.
    """
    return Guard(
        contracts,
        client,
        task_type=task_type,
        model=model,
        config=config,
        on_violation=on_violation,
        queue_calls=queue_calls,
        queue_bytes=queue_bytes,
    )
