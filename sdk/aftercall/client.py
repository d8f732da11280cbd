"""The producer's client: captures calls in one line, states outcomes from anywhere, follows recommendations."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast

from aftercall.capture.captures import Captures
from aftercall.capture.settings import Capturing, Cost
from aftercall.capture.states import States
from aftercall.capture.tracker import Tracker
from aftercall.capture.wrapping import COROUTINE, code_flags

if TYPE_CHECKING:
    from aftercall.emitter import Emitter, Stats
    from aftercall.routes import Arm, RecommendationSource, Route, Routes
    from aftercall.transports.transport import Transport

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Client(Captures, States):
    """Captures calls and states outcomes. Making one, and every method but `flush` and `close`, takes microseconds.

    One client per process is enough; threads, tasks and forked children share it. No method raises because of the
    broker, the disk or wrong arguments: events that cannot be made are counted as `invalid` and logged once per place.

    Example:
        client = aftercall.Client(kafka="localhost:9092")

        @client.track("support_triage", model="large", config="prompt-v7")
        def answer(question): ...

        client.outcome(call_id, source="user_feedback", success=False, reason="wrong city")
    """

    def __init__(
        self,
        *,
        kafka: str | None = None,
        url: str | None = None,
        file: str | os.PathLike[str] | None = None,
        transport: Transport | None = None,
        settings: Mapping[str, Any] | None = None,
        capture: Literal["usage", "text"] = "usage",
        sample: float = 1.0,
        release: str | None = None,
        input_hash: bool = True,
        cost: Cost | None = None,
        recommendations: RecommendationSource | None = None,
        spool: str | os.PathLike[str] | None = "",
        spool_bytes: int = 256 << 20,
        queue_events: int = 10_000,
        queue_bytes: int = 16 << 20,
        on_full: Literal["drop", "block"] = "drop",
        block_s: float = 10.0,
        durable: bool = False,
        flush_at_exit_s: float = 2.0,
    ) -> None:
        """Make a client. Nothing is opened, loaded or started before the first event.

        Without a destination, here or in `AFTERCALL_KAFKA`, `AFTERCALL_URL` or `AFTERCALL_FILE`, the client is off and
        logs one line; with `AFTERCALL_DISABLED=1` it is off without a line.

        Args:
            kafka: brokers, `host:port`, several with commas.
            url: of an endpoint that takes JSON lines.
            file: a folder for `calls.jsonl` and `outcomes.jsonl`.
            transport: another destination, such as `MemoryTransport` in tests.
            settings: of librdkafka, with `kafka`; headers, with `url`.
            capture: `text` sends `input` and `output` of calls too; else neither leaves the process.
            sample: share of calls that are kept, with their outcomes, in (0, 1].
            release: of the agent, for `attrs.release`.
            input_hash: whether calls carry `attrs.input_hash`, a keyed hash of what a tracked function is given.
            cost: gets the event of a call and gives US dollars, or None; runs in the background.
            recommendations: where `route` reads; default: the topic of `kafka`, `recommendations.jsonl` in `file`.
            spool: folder in which events wait for a broker; empty: `AFTERCALL_SPOOL`, else one of this user;
                None: events wait in memory.
            spool_bytes: bound of the spool.
            queue_events: bound of what waits in memory.
            queue_bytes: likewise.
            on_full: `block` makes calls wait for room, for batch jobs; else events are dropped and counted.
            block_s: how long a call waits for room, at most.
            durable: whether each event is on disk before the call returns, so that no kill loses it.
            flush_at_exit_s: how long the end of the process may be held up.
        """
        self._source = recommendations
        self._settings: dict[str, Any] = {}
        self._destination: tuple[str, str] | None = None
        self._routes: Routes | None = None
        self._only: dict[str, Routes] = {}
        self._emitter: Emitter | None = None
        self._off = Tracker(Capturing(None), {}, "")
        self._capturing = Capturing(None)
        try:
            self._start(
                (kafka, url, file),
                transport,
                settings or {},
                spool,
                {
                    "spool_bytes": spool_bytes,
                    "queue_events": queue_events,
                    "queue_bytes": queue_bytes,
                    "on_full": on_full,
                    "block_s": block_s,
                    "durable": durable,
                    "flush_at_exit_s": flush_at_exit_s,
                },
            )
            self._capturing = Capturing(
                self._emitter,
                text=capture == "text",
                input_hash=input_hash,
                sample=_share(sample),
                release=release,
                cost=cost,
            )
        except Exception as error:  # noqa: BLE001  # an agent starts, whatever is wrong with what observes it
            _log(f"off, as the client cannot be made: {type(error).__name__}: {error}")

    def _start(
        self,
        addresses: tuple[str | None, str | None, str | os.PathLike[str] | None],
        transport: Transport | None,
        settings: Mapping[str, Any],
        spool: str | os.PathLike[str] | None,
        limits: dict[str, Any],
    ) -> None:
        """Make the emitter, where there is a destination."""
        from aftercall.destinations import chosen, is_disabled, transport_of

        if is_disabled():
            return
        self._settings = dict(settings)
        destination = None
        if transport is None:
            self._destination = destination = chosen(*addresses)
            if destination is None:
                _log(
                    "off, as no destination is given (kafka, url, file; AFTERCALL_KAFKA, AFTERCALL_URL, AFTERCALL_FILE)"
                )
                return
        from pathlib import Path

        from aftercall.emitter import Emitter
        from aftercall.emitter.limits import default_folder

        folder = None if spool is None else Path(spool or default_folder())
        self._emitter = Emitter(transport_of(destination, transport, self._settings), spool=folder, **limits)

    def route(
        self,
        task_type: str,
        default: Arm,
        *,
        segment: str | None = None,
        key: object = None,
        allowed: Collection[tuple[str, str]] | None = None,
    ) -> Route:
        """The arm for the next call, as recommended, for `track(arm=...)`. Never waits and never raises.

        Args:
            task_type: of the call.
            default: the arm where none is recommended; `reason` of the route says why.
            segment: of the call, where its task type has recommendations by segment.
            key: makes the draw sticky, such as the id of a user.
            allowed: the arms that can be called now.
        """
        routes = self._followed()
        if routes is not None:
            return routes.route(task_type, default, segment=segment, key=key, allowed=allowed)
        from aftercall.routes import Route

        arm: Any = default
        model, config = arm if isinstance(arm, tuple) and len(arm) == 2 else ("", "")
        return Route(model, config, task_type, segment, reason="not_ready")

    def ready(self, timeout: float = 10.0) -> bool:
        """Wait until recommendations were read to their end, at most `timeout` seconds; returns whether they were."""
        routes = self._followed()
        return routes is not None and routes.ready(timeout)

    def flushes(self, handler: Callable[_P, _R]) -> Callable[_P, _R]:
        """Decorate the handler of a function as a service: at its end, all that it emitted is sent, within 2 seconds.

        Args:
            handler: a function or a coroutine function.
        """

        async def run_async(*args: _P.args, **kwargs: _P.kwargs) -> Any:
            try:
                return await cast("Awaitable[Any]", handler(*args, **kwargs))
            finally:
                await self.flush_async()

        def run(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            try:
                return handler(*args, **kwargs)
            finally:
                self.flush()

        wrapper = run_async if code_flags(handler) & COROUTINE else run
        return cast("Callable[_P, _R]", functools.update_wrapper(wrapper, handler))

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all that was emitted before is acknowledged, at most so many seconds. Whether it is."""
        return True if self._emitter is None else self._emitter.flush(timeout)

    async def flush_async(self, timeout: float = 2.0) -> bool:  # noqa: ASYNC109  # as `flush`
        """As `flush`; the event loop goes on meanwhile."""
        return True if self._emitter is None else await self._emitter.flush_async(timeout)

    def close(self, timeout: float = 2.0) -> None:
        """Flush, then stop; what is left is in the spool. Events that are emitted later are dropped."""
        if self._routes is not None:
            self._routes.close(0.0)
        if self._emitter is not None:
            self._emitter.close(timeout)

    async def aclose(self, timeout: float = 2.0) -> None:  # noqa: ASYNC109  # as `close`
        """As `close`; the event loop goes on meanwhile."""
        if self._routes is not None:
            self._routes.close(0.0)
        if self._emitter is not None:
            await self._emitter.aclose(timeout)

    def stats(self) -> Stats:
        """Where all events of this process are, at one moment; of a client that is off, nothing but zeros."""
        if self._emitter is not None:
            return self._emitter.stats()
        from aftercall.emitter import Stats

        return Stats(0, 0, 0, 0, 0, 0, 0, {}, 0)

    def _followed(self) -> Routes | None:
        if self._routes is None:
            from aftercall.destinations import recommendations_of
            from aftercall.routes import Routes

            source = self._source or recommendations_of(self._destination, self._settings)
            if source is not None:
                # Of two threads that come first at once, both use the routes of one; those of the other start nothing.
                self._only.setdefault("routes", Routes(source))
                self._routes = self._only["routes"]
        return self._routes


def _share(sample: float) -> float:
    """The share to keep; all, where it is no share."""
    share = float(sample)
    if 0.0 <= share <= 1.0:
        return share
    _log(f"sample must be in (0, 1]; got {sample!r} (all calls are kept)")
    return 1.0


def _log(sentence: str) -> None:
    import logging

    with suppress(Exception):  # filters and handlers are the user's
        logging.getLogger("aftercall").warning("aftercall: %s", sentence)
