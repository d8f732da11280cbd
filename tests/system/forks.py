"""Starts commands as forks of a process that has loaded the pipeline already (`system.preloaded`), one per session."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from benchmarks.kill_process import Process, spawned
from harness.minutes import count
from harness.waiting import HANG_S, until
from system.runs import environment

_ASKING = Lock()
"""Each question has its answer before the next one."""


class Fork:
    """A command that was started; what `subprocess.Popen` has that tests use."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], out: Path, err: Path) -> None:
        """Start it, in a session of its own; `out` and `err` get what it writes, after what they hold."""
        out.touch()
        err.touch()
        request = {"command": command, "cwd": str(cwd), "env": env, "out": str(out), "err": str(err)}
        with _ASKING:
            self.pid = int(_ask(request))
        self.returncode: int | None = None
        self._end = os.pidfd_open(self.pid) if sys.platform == "linux" else None

    def poll(self) -> int | None:
        """Its exit code, negative after a signal; None while it runs."""
        with _ASKING:
            if self.returncode is None and self._may_have_ended(0.0):
                self._end_with(_ask({"poll": self.pid}))
            return self.returncode

    def _end_with(self, found: tuple[int, float] | None) -> None:
        """Take its exit code, and count its CPU seconds; None while it runs."""
        if found is not None:
            self.returncode, cpu_s = found
            count(cpu_s)
            if self._end is not None:
                os.close(self._end)

    def wait(self, timeout: float = HANG_S) -> int:
        """Its exit code, once it has ended."""

        def ended() -> bool:
            return self._may_have_ended(1.0) and self.poll() is not None

        until(ended, lambda: f"process {self.pid} runs", within_s=timeout, every_s=0.0)
        assert self.returncode is not None
        return self.returncode

    def _may_have_ended(self, within_s: float) -> bool:
        """False where it runs on for so long; the kernel tells, as asking many times a second costs two processes."""
        if self.returncode is not None:
            return True
        if self._end is None:
            time.sleep(min(within_s, 0.005))
            return True
        end = select.poll()
        end.register(self._end, select.POLLIN)
        return bool(end.poll(within_s * 1000))

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Stop it as an operator does."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does."""
        self.send_signal(signal.SIGKILL)


def spawn(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path, before: Callable[[], None] | None
) -> Process:
    """For `benchmarks.kill_process`; a process that calls `before` first has loaded nothing."""
    if before is not None:
        return spawned(command, cwd=cwd, env=env, log=log, before=before)
    return Fork(command, cwd=cwd, env=env, out=log.with_suffix(".stdout"), err=log)


@cache
def _preloaded() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("preloaded.py"))],
        env=environment(OPENBLAS_NUM_THREADS="1"),  # a fork takes no threads along
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _ask(request: Mapping[str, Any]) -> Any:
    process = _preloaded()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())
