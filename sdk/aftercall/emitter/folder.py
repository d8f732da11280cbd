"""Finds spools: one of its own for each process, and those that dead processes left.

A spool is `<folder>/<hash of the destination>/<pid>-<start>.spool`, readable by its user alone. Its process holds an
advisory lock; one whose lock is free was left behind, and the process that takes
the lock sends it. Where the system has no such
locks (Windows), nothing is adopted.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from aftercall.emitter.log import warn_once
from aftercall.emitter.spool import DamagedSpoolError, SpoolError
from aftercall.emitter.spool_file import SpoolFile, remove

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


_TRIES: Final = 10
_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0)
_NO_LINKS: Final = getattr(os, "O_NOFOLLOW", 0)
_ANY_SIZE: Final = 1 << 40


class Folder:
    """The spools of one destination."""

    def __init__(self, folder: Path, destination: str) -> None:
        import hashlib

        self._path = folder / hashlib.sha256(destination.encode()).hexdigest()[:12]

    def make(self, limit: int) -> SpoolFile:
        """A new spool, locked.

        Raises:
            OSError, SpoolError: the folder cannot be written.
        """
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for _ in range(_TRIES):
            path = self._path / f"{os.getpid()}-{time.time_ns()}.spool"
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _CLOEXEC, 0o600))
            if (handle := _claimed(path)) is None:
                continue  # another process took it for one that was left behind
            try:
                return SpoolFile(path, handle, limit)
            except BaseException:
                os.close(handle)
                remove(path)
                raise
        raise SpoolError("other processes take every file away")

    def adopt(self) -> Iterator[SpoolFile]:
        """Spools of dead processes, each locked by now; a damaged one is set aside, empty ones are deleted."""
        if fcntl is None:
            return
        try:
            paths = sorted(self._path.glob("*.spool"), key=_start)
        except OSError:
            return
        for path in paths:
            if (spool := self._adopted(path)) is not None:
                yield spool

    def _adopted(self, path: Path) -> SpoolFile | None:
        if (handle := _claimed(path)) is None:
            return None
        try:
            spool = SpoolFile(path, handle, _ANY_SIZE)
        except DamagedSpoolError as wrong:
            self.set_aside(path, str(wrong))
        except (SpoolError, OSError) as wrong:
            warn_once(f"adopt {path}", "aftercall: a spool of a dead process cannot be read: %s", wrong)
        else:
            if spool.count:
                return spool
            spool.close()
            return None
        os.close(handle)
        return None

    def set_aside(self, path: Path, why: str) -> None:
        """Rename a damaged spool; the one that was set aside before is deleted, so that they take no more room."""
        warn_once(f"damaged {path}", "aftercall: a spool is damaged (%s) and is kept as %s.damaged", why, path.name)
        try:
            for older in self._path.glob("*.damaged"):
                older.unlink(missing_ok=True)
            path.replace(path.with_name(path.name + ".damaged"))
            remove(path)
        except OSError as wrong:
            warn_once(f"rename {path}", "aftercall: a damaged spool cannot be renamed: %s", wrong)


def _start(path: Path) -> tuple[int, str]:
    """For the oldest first."""
    start = path.stem.rpartition("-")[2]
    return (int(start) if start.isdecimal() else 0), path.name


def _claimed(path: Path) -> int | None:
    """A handle with the lock of a file that is still there; None where its process lives or another one was faster."""
    try:
        handle = os.open(path, os.O_RDWR | _NO_LINKS | _CLOEXEC)
    except OSError:
        return None
    try:
        _lock(handle)
        found, there = os.fstat(handle), path.stat()
        if stat.S_ISREG(found.st_mode) and (found.st_ino, found.st_dev) == (there.st_ino, there.st_dev):
            return handle
    except OSError:
        pass
    os.close(handle)
    return None


def _lock(handle: int) -> None:
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
