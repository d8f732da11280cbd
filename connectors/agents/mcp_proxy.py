"""Stands between an agent and a server of the Model Context Protocol over standard input and output.

It starts the server, hands lines on both ways, and breaks those about tools. It reads JSON and knows no version of the
protocol, so whatever else the two agree on passes; the package `mcp` is not needed here, and is what it is tested with.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock, Thread, Timer
from typing import IO, Final

from aftercall.errors import UsageError
from aftercall.evals.faults.injection import Injections
from aftercall.evals.faults.uses import SeenUse
from connectors.agents.mcp_messages import ToolMessages

ENDS_WITHIN_S: Final = 10.0
"""How long the server may take to end once its input has ended."""


def run_mcp_proxy(command: Sequence[str], injections: Injections, log: Callable[[SeenUse], None]) -> int:
    """Start a server and stand in for it on this process's standard input and output, until either ends.

    Args:
        command: the server's program and its arguments; its standard error is this process's.
        injections: what is broken.
        log: is given each call of a tool that has ended, on either of two threads.

    Returns:
        The server's exit code; 0 where it was ended by a signal of ours.

    Raises:
        UsageError: the program cannot be started.
    """
    try:
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - what the user named
    except OSError as wrong:
        raise UsageError(
            f"COMMAND: must be a program that can be started; {command[0]!r} cannot: {wrong.strerror} (check its path)"
        ) from None
    messages = ToolMessages(injections, log)
    pipes = _Pipes(server, messages)
    Thread(target=pipes.from_agent, args=(sys.stdin.buffer,), daemon=True).start()
    pipes.from_server()
    return _ended(server)


class _Pipes:
    """Both directions; a lock per pipe, as delayed lines and answers in place of the server come from other threads."""

    def __init__(self, server: subprocess.Popen[bytes], messages: ToolMessages) -> None:
        self._server, self._messages = server, messages
        self._to_server, self._to_agent = Lock(), Lock()

    def from_agent(self, lines: IO[bytes]) -> None:
        timers: list[Timer] = []
        for line in lines:
            forward, answer, later_s = self._messages.from_agent(line)
            if answer is not None:
                self._write_to_agent(answer)
            elif forward is not None and later_s:
                timers = [timer for timer in timers if timer.is_alive()]
                timers.append(Timer(later_s, self._write_to_server, (forward,)))
                timers[-1].daemon = True
                timers[-1].start()
            elif forward is not None:
                self._write_to_server(forward)
        for timer in timers:
            timer.join()
        with self._to_server, suppress(OSError):
            _input(self._server).close()

    def from_server(self) -> None:
        assert self._server.stdout is not None  # noqa: S101 - it was asked for
        for line in self._server.stdout:
            self._write_to_agent(self._messages.from_server(line))

    def _write_to_server(self, line: bytes) -> None:
        with self._to_server, suppress(OSError, ValueError):  # the server has ended; its output says so
            _input(self._server).write(line)
            _input(self._server).flush()

    def _write_to_agent(self, line: bytes) -> None:
        with self._to_agent:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


def _input(server: subprocess.Popen[bytes]) -> IO[bytes]:
    assert server.stdin is not None  # noqa: S101 - it was asked for
    return server.stdin


def _ended(server: subprocess.Popen[bytes]) -> int:
    try:
        return server.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
        return 0
