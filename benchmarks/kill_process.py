"""Starts `aftercall run` as a process of this machine, and kills it in several ways."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Protocol

ROOT = Path(__file__).resolve().parents[1]
MOST_PROCESSES = 2
STOP_S = 600.0  # bounds a hang: a machine that is ten times too busy takes minutes


class Process(Protocol):
    """What of `subprocess.Popen` is used here."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def wait(self, timeout: float = ...) -> int:
        """Its exit code, once it has ended."""

    def send_signal(self, number: int, /) -> None:
        """Send it a signal."""

    def terminate(self) -> None:
        """Stop it."""

    def kill(self) -> None:
        """Kill it."""


class Spawn(Protocol):
    """Starts a module with its arguments, as `python -m` does, in a session of its own."""

    def __call__(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path, before: Callable[[], None] | None
    ) -> Process:
        """`log` gets standard error, after what it holds; `before` is called in the process before the module."""


class RunError(Exception):
    """The pipeline behaved wrongly; the message describes how."""


class Pipeline:
    """One pipeline: a configuration and an output folder, started again and again."""

    def __init__(self, folder: Path, name: str, settings: str, broker: str, spawn: Spawn | None = None) -> None:
        """Write the configuration; nothing runs yet.

        Args:
            folder: for the configuration, the output folder and the log.
            name: name of this pipeline.
            settings: further sections of the configuration.
            broker: host:port.
            spawn: starts its processes; by default as a user's are started.
        """
        self._spawn = spawn or spawned
        self.out, self.log = folder / name, folder / f"{name}.log"
        self.config, self.port = folder / f"{name}.toml", free_ports(MOST_PROCESSES)
        own = f'[kafka]\nbrokers = "{broker}"\ngroup_id = "{name}"\n'
        self.config.write_text(f"{settings}\n[service]\nport = {self.port}\n{own}", encoding="utf-8")
        self.processes = 0
        self.begun_s = self._begun_at = 0.0
        self._process: Process | None = None
        self._log_from = 0
        self.resumed_s: float | None = None
        """Seconds from the last start until records were read; None until then."""

    def start(
        self,
        processes: int,
        idle_after: str | None = None,
        options: Sequence[str] = (),
        before: Callable[[], None] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; it resumes at its last epoch.

        Args:
            processes: how many.
            idle_after: replaces the setting of that name.
            options: further arguments of the command.
            before: called in the process before the command, such as for a limit.
            variables: of the environment.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AFTERCALL_")}
        paths = os.pathsep.join((str(ROOT), str(ROOT / "sdk")))
        idle = {} if idle_after is None else {"AFTERCALL_JOIN__IDLE_AFTER": idle_after}
        command = ["aftercall", "run", "--config", str(self.config), "--out", str(self.out)]
        self.processes, self.resumed_s = processes, None
        self.begun_s, self._begun_at = time.monotonic(), time.time()
        self.log.touch()
        self._log_from = self.log.stat().st_size
        self._process = self._spawn(
            [*command, "--processes", str(processes), *options],
            env=kept | idle | {"PYTHONPATH": paths} | dict(variables or {}),
            cwd=self.out.parent,
            log=self.log,
            before=before,
        )
        Thread(target=self._time_the_resume, args=(self._process,), daemon=True).start()

    @property
    def process(self) -> Process:
        """The parent process, which was started last; its members are its children."""
        assert self._process is not None
        return self._process

    def runs(self) -> bool:
        """Whether the parent is alive."""
        return self.process.poll() is None

    def runs_now(self) -> bool:
        """Whether it was started, and is alive."""
        return self._process is not None and self.runs()

    def publishing(self) -> bool:
        """Whether it is writing a snapshot at this moment; files that an earlier kill left behind do not count."""
        with suppress(OSError):
            drafts = self.out.glob("versions/.publishing-*/*.duckdb")
            return any(path.stat().st_mtime > self._begun_at for path in drafts)
        return False

    def segments_changed(self, *, gone: bool) -> Callable[[], bool]:
        """Whether, since now, a state was written whole again, or a segment was deleted (`gone`)."""
        folder = self.out / "state" / "segments"
        seen: set[str] = set()

        def changed() -> bool:
            nonlocal seen
            before, seen = seen, {path.name for path in folder.glob("*.segment")}
            if gone:
                return bool(before - seen)
            return bool(before) and any(name.endswith("-whole.segment") for name in seen - before)

        return changed

    def newest(self) -> str:
        """Where the newest snapshot lies, within the folder; empty without one."""
        with suppress(OSError):
            return str((self.out / "outcomes.duckdb").readlink())
        return ""

    def output(self) -> str:
        """What it has written to standard error since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._log_from)
            return log.read().decode(errors="replace")

    def complaints(self) -> list[str]:
        """The lines of `output` that are not log records: error sentences, and unexpected output."""
        return [line for line in self.output().splitlines() if line and not line.startswith("{")]

    def kill_all(self, draw: random.Random) -> None:
        """Send SIGKILL to every process, in random order; returns once none is left."""
        pids = self._pids()
        draw.shuffle(pids)
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        self.process.wait()
        _wait_until_gone(pids, STOP_S)

    def kill_parent(self) -> None:
        """Send SIGKILL to the parent alone; its members must end by themselves."""
        self.process.kill()
        self.process.wait()

    def kill_member(self, draw: random.Random) -> None:
        """Send SIGKILL to one member; the parent must end the others, report it, and end with exit code 1.

        Raises:
            RunError: it does not.
        """
        members = self._pids()[1:]
        _signal(self.process.pid, signal.SIGCONT)
        if not members:
            self.kill_all(draw)
            return
        _signal(draw.choice(members), signal.SIGKILL)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise RunError(f"{STOP_S:g} s after a member was killed the others still run: {self.output()}") from None
        complaints = self.complaints()
        if code != 1 or not complaints or "every process must end by itself" not in complaints[-1]:
            raise RunError(f"after a member was killed: exit code {code}, {complaints}")
        _wait_until_gone(members, 0)

    def stop(self) -> None:
        """Stop it with SIGTERM, as an operator does.

        Raises:
            RunError: it ends with an error, or not at all.
        """
        self.process.terminate()
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            raise RunError(f"it did not end within {STOP_S:g} s of SIGTERM: {self.output()}") from None
        if code or self.complaints():
            raise RunError(f"after SIGTERM: exit code {code}, {self.complaints()}")

    def end(self) -> None:
        """Kill what still runs, in any case."""
        if self._process is not None and self.runs():
            self.kill_all(random.Random())

    def _pids(self) -> list[int]:
        """The parent, which is stopped so that it starts no more members, and its members."""
        parent = self.process.pid
        _signal(parent, signal.SIGSTOP)
        return [parent, *(pid for pid, of in _parents().items() if of == parent)]

    def _time_the_resume(self, process: Process) -> None:
        begun = self.begun_s
        while process.poll() is None and process is self._process:
            if any(_records_read(self.port + number) for number in range(self.processes)):
                if process is self._process:
                    self.resumed_s = time.monotonic() - begun
                return
            time.sleep(0.05)


def spawned(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str], log: Path, before: Callable[[], None] | None
) -> Process:
    """A process that has loaded nothing yet."""
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # Bytewax prints there how often its processes tried to reach each other
            stderr=errors,
            start_new_session=True,
            preexec_fn=before,  # noqa: PLW1509 - sets limits, and nothing else
        )


def _wait_until_gone(pids: list[int], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while _parents().keys() & set(pids):  # looks at all processes of this machine, for a millisecond or more
        if time.monotonic() > deadline:
            raise RunError(f"processes {pids} must have ended; some have not after {within_s:g} s")
        time.sleep(0.05)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _parents() -> dict[int, int]:
    """Parent by process, for all processes that run."""
    parents = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                state, parent = (process / "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in {"Z", "X"}:
                    parents[int(process.name)] = int(parent)
    return parents


def _records_read(port: int) -> bool:
    with (
        suppress(OSError, ValueError),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer,
    ):
        lines = answer.read().decode().splitlines()
        return any(float(line.rpartition(" ")[2]) > 0 for line in lines if line.startswith("aftercall_records_total"))
    return False


def free_ports(count: int) -> int:
    """The first of `count` consecutive ports that are all free."""
    draw = random.SystemRandom()
    for _ in range(200):
        first = draw.randrange(10_000, 19_000)
        with suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
    raise RunError("no free ports on loopback")
