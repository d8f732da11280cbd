"""Writes events to files, `calls.jsonl` and `outcomes.jsonl` in a folder, as `aftercall replay` reads them."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from aftercall.transports.transport import Message, Receipt, UnavailableError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MIB: Final = 1 << 20


class FileTransport:
    """Appends lines and syncs them before it acknowledges them. Several processes may share the folder.

    A file that has reached `rotate_bytes` is renamed to `calls-<UTC time>-<pid>.jsonl` before the next line; nothing is
    ever deleted. A line is whole or not there: what a full disk took only in part is cut off again.
    """

    at_once = False

    def __init__(self, folder: str | Path, *, rotate_bytes: int = 64 * _MIB) -> None:
        self._folder = Path(folder)
        self._rotate_bytes = rotate_bytes
        self._handle: int | None = None
        self._receipts: list[Receipt] = []

    @property
    def destination(self) -> str:
        """The folder."""
        return f"file:{self._folder.absolute()}"

    def open(self) -> None:
        """Make the folder.

        Raises:
            UnavailableError: it cannot be made; it is tried again later.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as wrong:
            raise UnavailableError(f"the folder of the file transport cannot be made: {wrong.strerror}") from None

    def offer(self, messages: Sequence[tuple[int, Message]]) -> int:
        """Append and sync; one receipt each.

        Raises:
            UnavailableError: nothing could be written.
        """
        for kind in ("calls", "outcomes"):
            of_kind = [(number, message) for number, message in messages if message.kind == kind]
            if not of_kind:
                continue
            try:
                self._append(kind, b"".join(message.value + b"\n" for _, message in of_kind))
            except OSError as wrong:
                if not self._receipts:
                    raise UnavailableError(f"a file cannot be written: {wrong.strerror}") from None
                self._receipts += [Receipt(number, "failed") for number, _ in of_kind]
                continue
            self._receipts += [Receipt(number, "acknowledged") for number, _ in of_kind]
        return len(messages)

    def _append(self, kind: str, lines: bytes) -> None:
        handle = self._locked(self._folder / f"{kind}.jsonl")
        try:
            before = os.fstat(handle).st_size
            try:
                _write(handle, lines)
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, before)
                raise
        finally:
            self._unlock(handle)

    def _locked(self, path: Path) -> int:
        """The file, below its size, and this process the only one that writes to it."""
        while True:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o644)
            self._handle = handle
            try:
                if fcntl is not None:
                    fcntl.flock(handle, fcntl.LOCK_EX)
                if os.fstat(handle).st_size >= self._rotate_bytes and _same(handle, path):
                    path.replace(self._rotated(path))
                if _same(handle, path):
                    return handle
            except BaseException:
                self._unlock(handle)
                raise
            self._unlock(handle)  # rotated meanwhile

    def _unlock(self, handle: int) -> None:
        """Close it; the lock ends here, even where a child that was forked meanwhile has the file open too."""
        self._handle = None
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_UN)
        finally:
            os.close(handle)

    @staticmethod
    def _rotated(path: Path) -> Path:
        now = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + f".{time.time_ns() % 1_000_000_000:09d}Z"
        return path.with_name(f"{path.stem}-{now}-{os.getpid()}{path.suffix}")

    def receipts(self, wait_s: float) -> list[Receipt]:
        """Those of the last offer."""
        receipts, self._receipts = self._receipts, []
        return receipts

    def close(self, timeout_s: float) -> None:
        """Nothing is open between offers."""
        self._receipts = []

    def abandon(self) -> object:
        """Close what the parent had open in this moment: its lock would not end with the parent."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle, self._receipts = None, []
        return None


def _same(handle: int, path: Path) -> bool:
    """Whether the path still leads to this file."""
    try:
        there, ours = path.stat(), os.fstat(handle)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_dev) == (ours.st_ino, ours.st_dev)


def _write(handle: int, lines: bytes) -> None:
    view = memoryview(lines)
    while view:
        view = view[os.write(handle, view) :]
