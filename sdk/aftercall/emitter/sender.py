"""Drives intake and delivery: on one daemon thread, or on that of a flush where none can be started."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from aftercall.emitter import process
from aftercall.emitter.delivery import Delivery
from aftercall.emitter.encoding import load
from aftercall.emitter.intake import Intake
from aftercall.emitter.limits import Limits
from aftercall.emitter.log import warn, warn_once
from aftercall.emitter.queue import Queue
from aftercall.emitter.store import Store
from aftercall.emitter.tally import Loss, Tally
from aftercall.transports.transport import Transport

LINGER_S: Final = 0.05
"""So long events gather before they are stored: a thread that woke for each would cost the agent its cache."""
_ROUND_S: Final = 60.0
"""So often spools of dead processes are looked for, and losses are logged."""
_MOST_BATCHES: Final = 20
_AGAIN_S: Final = 1.0
_RECORD_BYTES: Final = 1024 * 1024
"""As `aftercall.events.MAX_RECORD_BYTES`, which only the sender thread may import."""
_CLOSE_S: Final = 1.0
_STORE_S: Final = 5.0
"""So long an end waits, beyond its bound, until what is in memory is in the spool: that needs the disk alone."""


class Sender:
    """All of an emitter that a fork must replace: queue, locks, thread, spool, transport."""

    def __init__(self, make: Callable[[], Transport], folder: Path | None, limits: Limits) -> None:
        self._limits = limits
        self.tally = Tally()
        self.queue = Queue(limits, self.tally)
        self.store = Store(folder, limits, self.tally)
        self.intake = Intake(self.queue, self.store, self.tally, _RECORD_BYTES)
        self.delivery = Delivery(make, self.store, self.tally)
        self._driver = threading.Lock()
        self._thread: threading.Thread | None = None
        self._retry_at = 0.0
        self._wake = threading.Lock()
        """Used as a semaphore of one, as `release` may interrupt itself: finalizers emit too."""
        self._wake.acquire()
        self._asleep = False
        self._progress = threading.Condition(threading.Lock())
        self.stopping = False
        self._round_at = time.monotonic() + _ROUND_S
        self._logged: dict[Loss, int] = {}
        self._released = False

    # --- the response path ---

    def nudge(self) -> None:
        """See to it that what was put into the queue is stored soon. Costs nearly nothing while the thread is awake."""
        if self._thread is None:
            self._start()
        if self._asleep:
            self._asleep = False
            self.hurry()

    def hurry(self) -> None:
        """Wake the thread now."""
        with suppress(RuntimeError):  # it is awake
            self._wake.release()

    def _start(self) -> None:
        if self.stopping or time.monotonic() < self._retry_at or not self._driver.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                process.watch_exit()
                thread = threading.Thread(target=self._run, name="aftercall", daemon=True)
                self._thread = thread
                thread.start()
        except Exception as wrong:  # noqa: BLE001  # too many threads, or the interpreter is about to end
            self._thread = None
            self._retry_at = time.monotonic() + _AGAIN_S
            if not sys.is_finalizing() and "shutdown" not in str(wrong):
                warn_once("thread", "aftercall: no thread can be started (%s): events are sent by flush()", wrong)
        finally:
            self._driver.release()

    # --- the thread ---

    def _run(self) -> None:
        while not self.stopping:
            began = time.monotonic()
            try:
                got_on = self.step(LINGER_S)
            except Exception as wrong:  # noqa: BLE001  # a defect of ours must not end deliveries, nor reach the agent
                warn_once(f"defect {type(wrong)}", "aftercall: a defect in the sender: %s", type(wrong).__name__)
                got_on = False
            self._rest(waited=got_on or time.monotonic() - began > LINGER_S / 2)
        self._release(_CLOSE_S)

    def _rest(self, *, waited: bool) -> None:
        """Sleep until there is something to do; then let events gather."""
        if self.stopping or (self.delivery.in_flight and waited):
            return
        if not self.tally.unsettled:
            self._asleep = True
            if not self.queue:  # else one was put in before it could see that the thread sleeps
                self._wake.acquire(timeout=max(0.0, self._round_at - time.monotonic()))
            self._asleep = False
        if not self.stopping:
            self._wake.acquire(timeout=LINGER_S)

    def step(self, wait_s: float) -> bool:
        """Store what waits, offer what is stored, settle what is acknowledged. Whether anything got on."""
        if not self._driver.acquire(blocking=False):
            return False
        try:
            got_on = self.prepare() and self._take_in()
            got_on = self.delivery.pump(0.0 if got_on else wait_s) or got_on
            self._look_round()
        finally:
            self._driver.release()
        with self._progress:
            self._progress.notify_all()
        return got_on

    def _take_in(self) -> bool:
        batches = 0
        while batches < _MOST_BATCHES and self.intake.take_in():
            batches += 1
        return batches > 0

    def prepare(self) -> bool:
        """Load what events need, and know where they go, before the first is stored. Whether they can be encoded."""
        try:
            with self.store.guard:
                load()
        except Exception as wrong:  # noqa: BLE001  # a broken installation, or an interpreter that ends
            warn_once("load", "aftercall: events cannot be encoded here: %r", wrong)
            return False
        try:
            with self.store.guard:
                self.delivery.prepare()
        except Exception as wrong:  # noqa: BLE001  # made by the user's function
            warn_once("make", "aftercall: the transport cannot be made: %s", wrong)
        return True

    def _look_round(self) -> None:
        if time.monotonic() >= self._round_at:
            self._round_at = time.monotonic() + _ROUND_S
            self.store.adopt()
            self.log_losses()

    def log_losses(self) -> None:
        """One line about what was dropped since the last one; none where nothing was."""
        dropped = dict(self.tally.dropped)
        new = {reason: count - self._logged.get(reason, 0) for reason, count in dropped.items()}
        self._logged = {**dropped}
        if any(new.values()):
            warn("aftercall: dropped %s", ", ".join(f"{reason}={count}" for reason, count in new.items() if count))

    # --- flush and close ---

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was emitted before is settled. Whether it is, and nothing was dropped meanwhile."""
        deadline = time.monotonic() + timeout_s
        goal = Goal(self)
        while not goal.reached():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.push(min(left, LINGER_S))
        return goal.lossless

    def push(self, wait_s: float) -> None:
        """Wait a moment for progress; where there is no thread, make some."""
        if self.has_thread:
            self.hurry()
            with self._progress:
                self._progress.wait(wait_s)
        elif not self.step(wait_s):
            time.sleep(min(wait_s, 0.01))

    @property
    def has_thread(self) -> bool:
        """Whether the thread is at work."""
        thread = self._thread
        return thread is not None and thread.is_alive() and thread is not threading.current_thread()

    def stop(self) -> None:
        """Let the thread end; it lets go of everything then. What is emitted from now on is refused."""
        self.stopping = True
        self.hurry()

    def close(self, timeout_s: float) -> None:
        """Stop, and let go of everything within about this time. What a file holds stays for other processes."""
        deadline = time.monotonic() + timeout_s
        self.stop()
        if self._thread is not None and self.has_thread:
            self._thread.join(max(0.0, deadline - time.monotonic()))
        if not self.has_thread:
            self._release(max(0.0, deadline - time.monotonic()))
        else:  # it hangs, in the transport or in a function of the user
            self.store_waiting()

    def store_waiting(self) -> None:
        """Bring all of the queue into the spool, on this thread, and wait for what another thread brings there."""
        deadline = time.monotonic() + _STORE_S
        if self.store.guard.acquire(timeout=_STORE_S):
            try:
                loaded = self.prepare()
            finally:
                self.store.guard.release()
            while loaded and self.intake.take_in(unripe_too=True):
                pass
            while self.tally.waiting and time.monotonic() < deadline:
                time.sleep(0.005)

    def _release(self, timeout_s: float) -> None:
        if self._released or not self._driver.acquire(timeout=timeout_s + LINGER_S):
            return
        try:
            self._released = True
            self.store_waiting()
            self.delivery.reset(timeout_s)
            self.store.close()
            self._lose_memory()
            self.log_losses()
        finally:
            self._driver.release()

    def _lose_memory(self) -> None:
        with self.tally.lock:
            if count := self.tally.waiting:
                self.tally.drop("shutdown", count, "waiting")
            if count := self.tally.held:
                self.tally.drop("shutdown", count, "held")


class Goal:
    """All that was emitted up to now, to be settled; asked again and again, it never waits."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._ordinal = sender.queue.put_so_far
        self._dropped = sender.tally.losses
        self._last: int | None = None

    def reached(self) -> bool:
        """Whether all of it has left the queue, and then the spool."""
        if self._last is None and self._sender.queue.settled >= self._ordinal:
            self._last = self._sender.store.last
        return self._last is not None and self._sender.store.settled(self._last)

    @property
    def lossless(self) -> bool:
        """Whether nothing was dropped since."""
        return self._sender.tally.losses == self._dropped
