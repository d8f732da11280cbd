"""Processes that have loaded the pipeline and its libraries already: forks of this one; a start costs 1.5 s of CPU.

    python preloaded.py

Reads a request per line from standard input and answers each with a line; both are JSON. `{"poll": pid}` gives the exit
code of a fork and the seconds of CPU that it and its children took, or null while it runs; anything else starts one and
gives its pid: `command` (a module and its arguments), `cwd`, `env`, `out` and `err` (files that get the standard
streams).
"""

from __future__ import annotations

import atexit
import fcntl
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LIBRARIES = ("river.drift", "bytewax.run", "confluent_kafka.admin", "typer", "pydantic_settings", "rich.progress")
LOADED = ("flows.replay", "flows.service.run")
"""With all that they import; the commands' own modules and what they look up in the environment come after the fork."""


def load() -> None:
    """Import all of it; a fork copies what its collector of garbage looks at, so what stays for good is left out."""
    for name in (*LIBRARIES, *LOADED):
        import_module(name)
    gc.collect()
    gc.freeze()


def become(request: dict[str, Any]) -> None:
    """Take the request's folder, environment and streams, and run its module as `python -m` does."""
    os.setsid()
    os.chdir(request["cwd"])
    for number, path in enumerate((os.devnull, request["out"], request["err"])):
        opened = os.open(path, os.O_WRONLY | os.O_APPEND if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    command = request["command"]
    if "--processes" in command:
        spare(int(command[command.index("--processes") + 1]))
    run(command, request["env"])


def run(command: list[str], env: dict[str, str]) -> None:
    """Run a module with its arguments; before it a `sitecustomize` from PYTHONPATH, as a start of Python does."""
    os.environ.clear()
    os.environ.update(env)
    sys.argv = list(command)
    for folder in env.get("PYTHONPATH", "").split(os.pathsep):
        if (customize := Path(folder, "sitecustomize.py")).exists():
            runpy.run_path(str(customize))
    try:
        runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            raise
        end(ended.code or 0)
    except BaseException:
        gc.unfreeze()  # DuckDB prints what of it is still there at the end
        raise
    end(0)


def end(code: int) -> None:
    """End as Python does, up to where it takes apart what it has loaded.

    That would copy all of it, for 0.4 s of CPU; `test_preloaded.py` has commands whose processes end in full.
    """
    threading._shutdown()  # type: ignore[attr-defined] # waits for threads
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


SPARES: list[tuple[int, socket.socket]] = []
"""Children of this process that wait to become members of its run, and where each hears as which."""


def spare(count: int) -> None:
    """Fork what becomes the members of a run of several processes, where the command would start Python.

    Now, as a process with threads must not fork.
    """
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(count)]
    for theirs, ours in pairs:
        pid = os.fork()
        if pid == 0:
            for other in {end for pair in pairs for end in pair} - {theirs}:
                other.close()
            wait_to_become(theirs)
        SPARES.append((pid, ours))
    for theirs, _ in pairs:
        theirs.close()
    stand_in = SimpleNamespace(Popen=Member, PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL)
    vars(import_module("flows.service.processes"))["subprocess"] = stand_in


def wait_to_become(ear: socket.socket) -> None:
    """In a spare: run the member that it is to be; end where the process that forked it has ended."""
    message, descriptors, _, _ = socket.recv_fds(ear, 2**20, 16)
    ear.close()
    if not message:
        os._exit(0)
    member = json.loads(message)
    os.setsid()
    beyond = max(*member["numbers"], *descriptors) + 1
    kept = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, beyond) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    for descriptor, number in zip(kept, member["numbers"], strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    run(member["command"], member["env"])


class Member:
    """A spare that has become a member; what `subprocess.Popen` has that `flows.service.processes` uses."""

    def __init__(self, command: list[str], *, pass_fds: list[int], **_: Any) -> None:
        """`command`: Python, `-m`, a module and its arguments; the other settings are as a spare is in any case."""
        self.pid, ear = SPARES.pop(0)
        self.returncode: int | None = None
        stdin, held = os.pipe()
        self.stdin = os.fdopen(held, "wb", 0)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        member = {"command": command[2:], "env": dict(os.environ), "numbers": [0, 1, 2, *pass_fds]}
        socket.send_fds(ear, [json.dumps(member).encode()], [stdin, nowhere, 2, *pass_fds])
        ear.close()
        os.close(stdin)
        os.close(nowhere)

    def poll(self) -> int | None:
        """Its exit code, negative after a signal; None while it runs."""
        return self._reaped(os.WNOHANG)

    def wait(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._reaped(0)

    def terminate(self) -> None:
        """Stop it with SIGTERM."""
        os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)

    def _reaped(self, options: int) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, options)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode


def answer(request: dict[str, Any]) -> int | tuple[int, float] | None:
    """Start what is asked for, or look whether it has ended."""
    if "poll" in request:
        ended, status, took = os.wait4(request["poll"], os.WNOHANG)
        return (os.waitstatus_to_exitcode(status), took.ru_utime + took.ru_stime) if ended else None
    pid = os.fork()
    if pid == 0:
        become(request)
    return pid


if __name__ == "__main__":
    load()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)  # noqa: T201 - the answer
    os._exit(0)
