"""Offers capture to users: `track`, `call`, sessions, and the current call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Generic, Literal, Never, ParamSpec, TypeVar, overload

from aftercall.capture.around import CURRENT
from aftercall.capture.call import Call, CallThatIsOff, Label
from aftercall.capture.draft import Judges
from aftercall.capture.quiet import place_of_caller
from aftercall.capture.scopes import SessionScope, bound
from aftercall.capture.settings import UNKNOWN, Arranged, Capturing
from aftercall.capture.tracker import Tracker
from aftercall.capture.verification import Verification
from aftercall.capture.wrapping import COROUTINE, code_flags

_P = ParamSpec("_P")
_R = TypeVar("_R")


class CallResult(Generic[_R]):
    """What `client.call` gives.

    Attributes:
        response: what the function returned; a stream is measured to its end.
    """

    __slots__ = ("_call", "response")

    def __init__(self, response: _R, call: Call) -> None:
        self.response = response
        self._call = call

    @property
    def call_id(self) -> str:
        """Id of the call, which outcomes name."""
        return self._call.call_id

    @property
    def verification(self) -> Verification | None:
        """What contracts say about the call, once it has ended; None without a guard."""
        return self._call.verification


class Captures:
    """The part of a client that captures calls; every method takes microseconds and never raises."""

    _capturing: Capturing
    _off: Tracker

    def track(
        self,
        task_type: str | None = None,
        *,
        arm: Arranged | None = None,
        model: str | None = None,
        config: str | None = None,
        segment: str | None = None,
        session_id: str | None = None,
        parent_call_id: str | None = None,
        call_id: str | None = None,
        policy_version: str | None = None,
        rollout: Mapping[str, str | int] | None = None,
        attrs: Mapping[str, Label] | None = None,
        kind: Literal["agent", "tool"] = "agent",
        guard: Judges | None = None,
        **unknown: Never,
    ) -> Tracker:
        """Capture calls: as a decorator of any function, or with `with` and `async with`, which give a `Call`.

        Args:
            task_type: what routing decides over; that of `arm` where absent. Of a tool: its name.
            arm: what `route` gave: its model, config, recommendation and propensity.
            model: the declared one, over which routing decides; the one in the response is `attrs.response_model`.
            config: version of prompt, tools and parameters.
            segment: context of the call.
            session_id: of the conversation; default: that of `session`, else of the call around it.
            parent_call_id: the hop above; default: the call around it.
            call_id: an id of the caller's own, of this one call; a decorator makes one for each call.
            policy_version: of the documents or rules that the agent acts on.
            rollout: the canary it belongs to.
            attrs: labels.
            kind: `tool`: calls of the function are `tool_calls` of the call around them, not calls.
            guard: judges each call by its contracts once it has ended: `call.verification`.
            unknown: arguments that do not exist make the event invalid.
        """
        capturing = self._capturing
        if capturing.sink is None and call_id is None and guard is None:
            return self._off
        declared: dict[str, Any] = {
            "arm": arm,
            "task_type": task_type,
            "model": model,
            "config": config,
            "segment": segment,
            "session_id": session_id,
            "parent_call_id": parent_call_id,
            "policy_version": policy_version,
            "rollout": rollout,
            "attrs": attrs,
        }
        if unknown:
            declared[UNKNOWN] = tuple(unknown)
        if guard is not None and not hasattr(guard, "begin"):
            declared[UNKNOWN], guard = (*unknown, "guard"), None
        return Tracker(capturing, declared, place_of_caller(), call_id, guard, is_tool=kind == "tool")

    @overload
    def call(
        self, task_type: str, function: Callable[..., Coroutine[Any, Any, _R]], /, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, CallResult[_R]]: ...

    @overload
    def call(self, task_type: str, function: Callable[..., _R], /, *args: Any, **kwargs: Any) -> CallResult[_R]: ...

    def call(
        self,
        task_type: str,
        function: Callable[..., Any],
        /,
        *args: Any,
        arm: Arranged | None = None,
        model: str | None = None,
        config: str | None = None,
        segment: str | None = None,
        session_id: str | None = None,
        call_id: str | None = None,
        attrs: Mapping[str, Label] | None = None,
        guard: Judges | None = None,
        **kwargs: Any,
    ) -> Any:
        """Run a function as a call, and get its response with the id of the call.

        Args:
            task_type: as in `track`, like those down to `attrs`; a function that has an argument of such a name takes
                it by `functools.partial`.
            function: to run; what it raises is raised here. Of a coroutine function the result is awaited.
            args: for the function.
            arm: as in `track`.
            model: as in `track`.
            config: as in `track`.
            segment: as in `track`.
            session_id: as in `track`.
            call_id: as in `track`.
            attrs: as in `track`.
            guard: as in `track`; `result.verification` has what it says.
            kwargs: for the function.
        """
        tracker = self.track(
            task_type,
            arm=arm,
            model=model,
            config=config,
            segment=segment,
            session_id=session_id,
            call_id=call_id,
            attrs=attrs,
            guard=guard,
        )
        call, run = tracker.around(function, call_id)
        if code_flags(function) & COROUTINE:
            return _awaited(run(*args, **kwargs), call)
        return CallResult(run(*args, **kwargs), call)

    def current_call(self) -> Call:
        """The call within which this code runs; outside of any, a handle without effect."""
        draft = CURRENT.get()
        return CallThatIsOff() if draft is None else Call(draft)

    def session(self, session_id: str) -> SessionScope:
        """Give a `session_id` to all calls made within a block; `with` and `async with`.

        Args:
            session_id: of the conversation.
        """
        return SessionScope(session_id)

    def bind(self, function: Callable[_P, _R]) -> Callable[_P, _R]:
        """Carry the current call and session into a thread or a pool, which would not know them.

        Args:
            function: that the thread will run, as often and as many at once as it likes.
        """
        return bound(function)


async def _awaited(response: Awaitable[_R], call: Call) -> CallResult[_R]:
    return CallResult(await response, call)
