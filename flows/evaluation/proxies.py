"""Runs the proxies that break tools, until they are stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from types import FrameType

from aftercall.errors import UsageError
from aftercall.evals.faults.injection import Injections
from aftercall.evals.faults.uses import SeenUse, append_use
from connectors.agents.http_proxy import FaultProxy, Upstream
from connectors.agents.mcp_proxy import run_mcp_proxy
from flows.reports.words import counted


class Struck:
    """Counts what a proxy has seen, and hands it on to the log. Threads may share it."""

    def __init__(self, injections: Injections, log: Path | None) -> None:
        """Start with nothing seen.

        Raises:
            OSError: the log cannot be written.
        """
        self._injections = injections
        self._append: Callable[[SeenUse], None] | None = None if log is None else partial(append_use, log)
        if log is not None:
            log.open("a").close()
        self._tools: set[str] = set()
        self._struck: dict[str, int] = {entry.name: 0 for entry in injections.entries}
        self._lock = Lock()
        self.unlogged = 0
        """Uses that the log could not take: the agent has its answer all the same."""

    def __call__(self, use: SeenUse) -> None:
        """Count one use."""
        with self._lock:
            self._tools.add(use.tool)
            if use.applied and use.entry is not None:
                self._struck[use.entry] += 1
        try:
            if self._append is not None:
                self._append(use)
        except OSError:
            self.unlogged += 1

    def sentences(self) -> list[str]:
        """What struck how often, and what could not: a tool that was never called."""
        never = {entry.name for entry in self._injections.never_called(self._tools)}
        return [
            f"{name}: no such tool was called (is the name right?)"
            if name in never
            else f"{name}: broke {counted(count, 'call')}"
            for name, count in self._struck.items()
        ]

    def losses(self) -> list[str]:
        """What the log lacks; empty where nothing."""
        return [f"--log: could not take {counted(self.unlogged, 'call')} (check the disk)"] if self.unlogged else []


def serve_http(
    upstream: str, injections: Injections, address: tuple[str, int], hold_s: float, log: Path | None
) -> Struck:
    """Be a proxy for tools over HTTP until a signal comes; returns what it did.

    Raises:
        UsageError: the upstream is no URL, or nothing can listen at the address.
        OSError: the log cannot be written.
    """
    struck = Struck(injections, log)
    try:
        server = FaultProxy(Upstream.parse(upstream), injections, struck, address, hold_s)
    except OSError as wrong:
        raise UsageError(
            f"--host, --port: must be free and of this machine; {address[0]}:{address[1]} is not: {wrong.strerror}"
            " (take --port 0)"
        ) from None
    with server, _stopped_by_signals() as stopped:
        thread = Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        stopped.wait()
        server.shutdown()
        thread.join()
    return struck


def serve_mcp(command: Sequence[str], injections: Injections, log: Path | None) -> tuple[int, Struck]:
    """Be a proxy for an MCP server until it or the agent ends; returns the server's exit code, and what it did.

    Raises:
        UsageError: the server cannot be started.
        OSError: the log cannot be written.
    """
    struck = Struck(injections, log)
    return run_mcp_proxy(command, injections, struck), struck


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    stopped = Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
