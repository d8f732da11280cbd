"""Runs commands of aftercall, and reads the CPU time and the writes of their whole process trees."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

HANG_S: Final = 3600.0
"""Bounds a hang: a machine that is ten times too busy needs minutes."""
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STAT_CPU: Final = slice(11, 15)
"""utime, stime, and the same of children that have been waited for, counted from the state."""


class BenchmarkError(Exception):
    """A measurement is impossible or shows nonsense; one sentence with the remedy."""


class Build(NamedTuple):
    """A checkout of aftercall with its environment."""

    name: str
    root: Path
    python: Path


def environment(build: Build) -> dict[str, str]:
    """The variables of this process, with the code of that checkout and without settings of aftercall."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AFTERCALL_", "PYTHON"))}
    return kept | {"PYTHONPATH": os.pathsep.join((str(build.root), str(build.root / "sdk")))}


class Running:
    """A command that runs; its CPU time is that of its whole process tree, user and system.

    Args:
        build: whose `aftercall`.
        arguments: those of `aftercall`, or of Python if they begin with `-m`.
        log: where its standard error goes.
    """

    def __init__(self, build: Build, arguments: Sequence[str], log: Path) -> None:
        module = [] if arguments[0] == "-m" else ["-m", "aftercall"]
        self._log = log
        self.began_s = time.monotonic()
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [str(build.python), *module, *arguments],
                env=environment(build),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        self._spent_s: float | None = None

    def ended(self) -> bool:
        """Whether it has ended.

        Raises:
            BenchmarkError: it has, with another exit code than 0.
        """
        if self._spent_s is None:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if not pid:
                return False
            self._process.returncode = os.waitstatus_to_exitcode(status)
            self._spent_s = usage.ru_utime + usage.ru_stime
        if self._process.returncode:
            tail = self._log.read_text(errors="replace")[-2000:]
            code = self._process.returncode
            raise BenchmarkError(f"a run must end with exit code 0; {self._log.name} ended with {code}:\n{tail}")
        return True

    def wait(self) -> float:
        """Wait for its end; returns the CPU seconds of its tree."""
        deadline = time.monotonic() + HANG_S
        while not self.ended():
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{self._log.name} must end within {HANG_S:g} s; it still runs (see its log)")
            time.sleep(0.02)
        assert self._spent_s is not None
        return self._spent_s

    def stop(self) -> float:
        """End it with SIGTERM, as operators do; returns the CPU seconds of its tree."""
        if not self.ended():
            os.kill(self._process.pid, signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it and its children in any case."""
        if self._spent_s is None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def cpu_s(self) -> float:
        """CPU seconds of the tree up to now, to a hundredth."""
        return sum(_cpu_ticks(pid) for pid in self._tree()) / _TICKS

    def written_bytes(self) -> int:
        """Bytes that the living processes of the tree have sent to storage (`write_bytes` of /proc/PID/io)."""
        return sum(_written(pid) for pid in self._tree())

    def _tree(self) -> Iterator[int]:
        parents = _parents()
        tree = [self._process.pid]
        for pid in tree:  # grows while it is read
            tree += [child for child, parent in parents.items() if parent == pid]
            yield pid


def _cpu_ticks(pid: int) -> int:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[_STAT_CPU]))
    return 0


def _written(pid: int) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))
    return 0


def _parents() -> dict[int, int]:
    """Parent by process."""
    parents = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    return parents
