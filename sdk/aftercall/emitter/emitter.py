"""What producers call: takes events on the response path, and never raises or waits there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal, cast

from aftercall.emitter import log, process
from aftercall.emitter.encoding import InvalidEventError, encode
from aftercall.emitter.limits import MIB, Limits
from aftercall.emitter.log import warn_invalid, warn_once
from aftercall.emitter.queue import Build, Item
from aftercall.emitter.sender import LINGER_S, Goal, Sender
from aftercall.emitter.spool_file import SpoolFile
from aftercall.emitter.tally import Stats
from aftercall.transports.transport import Message, Transport

_STORE_S: Final = 5.0
"""As that of the sender, for what is still in memory."""
_make_item = tuple.__new__
"""As `Item(...)`, without the call of a Python function."""


class Emitter:
    """Queue, spool and transport of one destination. Threads may share it, and forked children go on with it.

    `transport` may be a function that makes one; the sender thread calls it. `spool` is a folder; without one, events
    are in memory until they are acknowledged. `on_full = "block"` makes `emit` wait up to `block_s` for room, for jobs
    that would rather be slow than lose an event. With `durable`, an event is in the spool when `emit` returns, and a
    kill does not lose it: it is built, and committed, on the caller's thread.
    """

    def __init__(
        self,
        transport: Transport | Callable[[], Transport],
        *,
        spool: Path | None,
        queue_events: int = 10_000,
        queue_bytes: int = 16 * MIB,
        spool_bytes: int = 256 * MIB,
        on_full: Literal["drop", "block"] = "drop",
        block_s: float = 10.0,
        durable: bool = False,
        flush_at_exit_s: float = 2.0,
    ) -> None:
        self._limits = Limits(queue_events, queue_bytes, spool_bytes, on_full, block_s, durable, flush_at_exit_s)
        self._spool = spool
        self._transport = cast("Transport", transport) if hasattr(transport, "offer") else None
        self._make = self._given if self._transport is not None else cast("Callable[[], Transport]", transport)
        self.at_once: Final = getattr(transport, "at_once", False) is True
        """Whether events are built and delivered on the caller's thread, for tests."""
        self._holds = False
        self._sender = self._made()
        process.watch(self)

    def _given(self) -> Transport:
        assert self._transport is not None  # noqa: S101  # else the function is called
        return self._transport

    def _made(self) -> Sender:
        return Sender(self._make, self._spool, self._limits)

    # --- the response path ---

    def emit(
        self,
        kind: Literal["calls", "outcomes"],
        key: str,
        build: Build,
        size: int = 256,
        durable: bool | None = None,  # noqa: FBT001  # fixed by the interface
        place: str | None = None,
    ) -> None:
        """Take an event in. Cost: about a microsecond.

        `build` is called once, later and on another thread (with `durable`: now); it returns the event as plain JSON
        values, or None if there is nothing to send. Whatever it raises is counted as `invalid`. `size` is an estimate,
        in bytes, of what it holds; `place` the user's line, for the log. Never raises, but see
        `at_once` of transports.
        """
        if self.at_once:
            self._emit_at_once(kind, key, build)
            return
        sender = self._sender
        try:
            item = _make_item(Item, (kind, key, build, size, place))
            if sender.stopping:
                sender.tally.refuse("shutdown")
            elif self._limits.durable if durable is None else durable:
                self._emit_durably(sender, item)
            elif sender.queue.put(item) or self._waited_for_room(sender, item):
                sender.nudge()
            else:
                sender.tally.refuse("queue_full")
        except Exception as wrong:  # noqa: BLE001  # a defect of ours must not reach the agent
            warn_once(f"emit {type(wrong)}", "aftercall: a defect in emit: %s", type(wrong).__name__)

    def _waited_for_room(self, sender: Sender, item: Item) -> bool:
        if self._limits.on_full == "drop":
            return False
        deadline = time.monotonic() + self._limits.block_s
        while time.monotonic() < deadline and not sender.stopping:
            sender.nudge()
            sender.push(LINGER_S)
            if sender.queue.put(item):
                return True
        return False

    def _emit_durably(self, sender: Sender, item: Item) -> None:
        if not sender.queue.admit(item):
            sender.tally.refuse("queue_full")
            return
        if not sender.prepare():
            sender.tally.drop("internal", 1, "waiting")
            sender.tally.free(1, item.size)
            return
        sender.intake.take_in_one(item)
        sender.nudge()

    def count_invalid(self, reason: str, place: str | None = None) -> None:
        """Count an event that could not be made, because of this; the reason is logged once for each place.

        Raises:
            InvalidEventError: only if the transport is for tests.
        """
        if self.at_once:
            raise InvalidEventError(reason)
        warn_invalid(reason, place)
        self._sender.tally.refuse("invalid")

    def _emit_at_once(self, kind: Literal["calls", "outcomes"], key: str, build: Build) -> None:
        tally = self._sender.tally
        event: dict[str, Any] | None = build()
        if event is None:
            tally.pass_by(skipped=1)
            return
        self._given().offer([(0, Message(kind, key, encode(kind, event)))])
        tally.pass_by(acknowledged=1)

    # --- the rest ---

    def stats(self) -> Stats:
        """Where all events of this process are, at one moment."""
        return self._sender.tally.stats()

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all that was emitted before is acknowledged, at most so many seconds. Whether it is.

        False also where some of it was dropped meanwhile. Where no thread can be started, it sends by itself.
        """
        try:
            return self._sender.flush(timeout)
        except Exception as wrong:  # noqa: BLE001  # as in `emit`
            warn_once(f"flush {type(wrong)}", "aftercall: a defect in flush: %s", type(wrong).__name__)
            return False

    async def flush_async(self, timeout: float = 2.0) -> bool:  # noqa: ASYNC109  # as `flush`
        """As `flush`; the event loop goes on meanwhile."""
        from asyncio import sleep

        sender, deadline = self._sender, time.monotonic() + timeout
        goal = Goal(sender)
        while not goal.reached():
            if time.monotonic() >= deadline:
                return False
            if sender.has_thread:
                sender.hurry()
            else:
                sender.step(0.0)
            await sleep(min(0.01, max(0.0, deadline - time.monotonic())))
        return goal.lossless

    def close(self, timeout: float = 2.0) -> None:
        """Flush, then stop, within about so many seconds. What is left is in the spool, for another process to send.

        It may take some more seconds until what is in memory is in the spool, on a machine that is very busy.

        Events that are emitted later are dropped as `shutdown`.
        """
        deadline = time.monotonic() + timeout
        self.flush(timeout)
        self._sender.close(max(0.1, deadline - time.monotonic()))
        process.forget(self)

    async def aclose(self, timeout: float = 2.0) -> None:  # noqa: ASYNC109  # as `close`
        """As `close`; the event loop goes on meanwhile."""
        from asyncio import sleep

        deadline = time.monotonic() + timeout
        await self.flush_async(timeout)
        self._sender.stop()
        while self._sender.has_thread and time.monotonic() < deadline:  # noqa: ASYNC110  # a thread sets no asyncio.Event
            await sleep(0.01)
        while self._sender.has_thread and self._sender.tally.waiting:
            if time.monotonic() >= deadline + _STORE_S:
                break
            await sleep(0.01)
        self._sender.close(0.0)
        process.forget(self)

    # --- forks and exits ---

    def before_fork(self, timeout_s: float) -> None:
        """Wait for what the sender thread does with SQLite or imports."""
        self._holds = self._sender.store.guard.acquire(timeout=timeout_s)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        if self._holds:
            self._sender.store.guard.release()

    def after_fork_in_child(self) -> object:
        """Begin with an empty queue, no thread, no spool, and a closed transport."""
        log.forget_lock()
        old = self._sender
        for source in old.store.sources():
            if isinstance(source.spool, SpoolFile):
                os.close(source.spool.handle)  # else the lock on it would outlive the parent
        handles = None if self._transport is None else self._transport.abandon()
        self._sender = self._made()
        self._sender.stopping = old.stopping
        return old, handles

    def at_exit(self, began: float) -> None:
        """Flush and close within `flush_at_exit_s`, counted from when the process began to end."""
        left = began + self._limits.flush_at_exit_s - time.monotonic()
        self.close(max(0.0, left))
