"""Starts and stops the processes of one pipeline together, a Bytewax cluster over loopback."""

from __future__ import annotations

import logging
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final

from aftercall.errors import ExitCode
from flows.runtime.run_folder import RunError
from flows.service.signals import WITHIN_S, Stopping

_LOOPBACK: Final = "127.0.0.1"
_GRACE_S: Final = WITHIN_S + 9
_ERRORS_S: Final = 3.0
PORTS: Final = range(20_000, 32_000)
"""Below the ports that systems assign to outgoing connections. A process needs time to start between the choice of a
port and listening on it; an outgoing connection could be assigned that port meanwhile, even the connection that keeps
trying to reach it and would then connect to itself."""
_log = logging.getLogger("aftercall.run")


def free_addresses(count: int) -> list[str]:
    """`count` loopback addresses whose ports are free now.

    Raises:
        RunError: fewer ports are free.
    """
    with ExitStack() as stack:
        addresses: list[str] = []
        for port in random.SystemRandom().sample(PORTS, len(PORTS)):
            listener = stack.enter_context(socket.socket())
            with suppress(OSError):
                listener.bind((_LOOPBACK, port))
                addresses.append(f"{_LOOPBACK}:{port}")
            if len(addresses) == count:
                return addresses
    raise RunError(f"run: {count} ports of {PORTS[0]}-{PORTS[-1]} must be free on {_LOOPBACK} (end what listens there)")


def run_members(command: Sequence[str], count: int, lock: int, stopping: Stopping, lost: Sequence[str] = ()) -> None:
    """Run `count` processes to their end.

    Args:
        command: the arguments of `aftercall` for a member; its number and all addresses are appended.
        count: number of processes, > 1.
        lock: descriptor of the lock file; the processes inherit it, so the lock lasts until the last one has ended.
        stopping: once it is true, all processes are stopped with SIGTERM.
        lost: once there is a sentence in it, all are killed at once: nothing more may be stored or sent.

    Raises:
        RunError: one of them failed, and the others were ended too; or the sentence of `lost`.
    """
    addresses = ";".join(free_addresses(count))
    members = [
        subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, *_arguments(command, i, addresses)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,  # Bytewax prints there how often it tried to reach the others
            pass_fds=[lock],
            start_new_session=True,  # ctrl-C reaches this process alone, which stops the others
        )
        for i in range(count)
    ]
    try:
        _watch(members, stopping, lost)
    finally:
        for member in members:
            if member.poll() is None:
                member.kill()
            member.wait()
            if member.stdin is not None:
                member.stdin.close()
    if lost:
        raise RunError(lost[0])
    codes = {i: member.returncode for i, member in enumerate(members)}
    # One that was stopped before it could handle the signal has read nothing, and so has no other.
    clean = {0, -signal.SIGTERM} if stopping() else {0}
    failed = {i: code for i, code in codes.items() if code not in clean}
    if failed:
        listed = ", ".join(f"{i} (exit code {code})" for i, code in failed.items())
        raise RunError(
            f"run: every process must end by itself; {listed} did not, so all were ended (see its error above, then "
            "give the same command again: the run resumes at its last epoch)",
            exit_code=ExitCode.USAGE if ExitCode.USAGE in failed.values() else ExitCode.FAILED,
        )


def _arguments(command: Sequence[str], member: int, addresses: str) -> list[str]:
    return ["-m", "aftercall", *command, "--member", str(member), "--addresses", addresses]


def _watch(members: Sequence[subprocess.Popen[bytes]], stopping: Stopping, lost: Sequence[str]) -> None:
    """Return once all have ended, one has failed, `lost` has a sentence, or stopping takes longer than `_GRACE_S`."""
    signalled_at: float | None = None
    while not lost and any(member.poll() is None for member in members):
        if any(member.poll() not in {None, 0} for member in members):
            _wait_for_errors(members)
            return
        if stopping() and signalled_at is None:
            signalled_at = time.monotonic()
            for member in members:
                member.terminate()
        if signalled_at is not None and time.monotonic() - signalled_at > _GRACE_S:
            _log.error("the processes did not end within %.0f s and are killed", _GRACE_S)
            return
        time.sleep(0.05)


def _wait_for_errors(members: Sequence[subprocess.Popen[bytes]]) -> None:
    """Give the processes time to log after one has ended: it may have ended only because another one failed."""
    deadline = time.monotonic() + _ERRORS_S
    while any(member.poll() is None for member in members) and time.monotonic() < deadline:
        time.sleep(0.05)
