"""Starts threads that run beside the dataflow; a defect that ends one must not go unnoticed.

Python would only print its traceback: the service would go on without what the thread did, alive, ready and for ever.
"""

from __future__ import annotations

import _thread
import logging
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Event, Thread
from typing import Final

_log = logging.getLogger("aftercall.run")

OnDefect = Callable[[BaseException], None]
"""Called from the thread, with the error that has ended it. It must not end the process: others may be in the middle of
an epoch, and in a cluster an orderly stop of one process waits for all others."""
ONLY_LOGGED: Final[OnDefect] = lambda _error: None  # noqa: E731 - a value, as any other


def background(name: str, run: Callable[[], None], on_defect: OnDefect) -> Thread:
    """A daemon thread, not started; an error of `run` is logged with its traceback and handed to `on_defect`."""

    def guarded() -> None:
        try:
            run()
        except BaseException as error:  # noqa: BLE001 - raised again where the thread's work is waited for
            _log.exception("the thread %s was ended by a defect of aftercall, %r; its traceback follows", name, error)
            on_defect(error)

    return Thread(target=guarded, name=name, daemon=True)


def beside(run: Callable[[], object]) -> Event:
    """Run something in a daemon thread that begins at once; the event is set when it has ended, whatever it raised.

    For what is begun while the service works: `Thread.start` waits until the thread has begun, and without memory for
    ever, as the thread then ends before it says so.
    """
    ended = Event()

    def guarded() -> None:
        try:
            run()
        except Exception as error:  # noqa: BLE001 - its result is not waited for
            _log.info("a thread has ended with %r", error)
        finally:
            ended.set()

    _thread.start_new_thread(guarded, ())
    return ended


class Worker:
    """One thread that runs what it is given, one after another; it begins at once.

    A daemon, unlike the threads of `concurrent.futures`: one that was being started when ctrl-C came is not known
    there, is not asked to end, and the process waits for it for ever.
    """

    def __init__(self, name: str) -> None:
        """Wait until it has begun: without memory, Python would wait for ever for one that is started later."""
        self._given: SimpleQueue[tuple[Callable[[], None], Future[None]] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, run: Callable[[], None]) -> Future[None]:
        """Run it after what was given before; its error is the future's."""
        future: Future[None] = Future()
        self._given.put((run, future))
        return future

    def shutdown(self) -> None:
        """Wait until all that was given has ended; nothing may be given after this."""
        self._given.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (given := self._given.get()) is not None:
            run, future = given
            try:
                run()
            except BaseException as error:  # noqa: BLE001 - raised where the future is asked
                future.set_exception(error)
            else:
                future.set_result(None)
