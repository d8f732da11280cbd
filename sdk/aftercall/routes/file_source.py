"""Reads recommendations from `recommendations.jsonl`, again whenever it has changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

from aftercall.routes.recommendations import Recommended, read
from aftercall.routes.table import Table


class FileSource:
    """The file as a replay writes it, or as it is brought to this machine.

    A change is seen within some 250 ms and the whole file read again: one that is replaced by renaming is never seen
    half-written. Lines that are no recommendations are passed over, the half of a last one too. While there is no file
    the table keeps what it has.

    Args:
        path: the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    def open(self) -> FileReader:
        """A reader that has seen nothing yet."""
        return FileReader(self._path)


class FileReader:
    """Reads the file when it has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def poll(self, table: Table, timeout_s: float) -> str | None:
        """As `Reader` says; without a file there is something wrong."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - every 250 ms
            state = found.st_ino, found.st_size, found.st_mtime_ns
            if state != self._seen:
                table.replace(_recommendations(self._path))
                self._seen = state
        except OSError as wrong:
            time.sleep(timeout_s)
            return f"{self._path}: cannot be read; {wrong.strerror}"
        time.sleep(timeout_s)
        return None

    def close(self) -> None:
        """Nothing is held open."""


def _recommendations(path: str) -> Iterator[Recommended]:
    with open(path, "rb") as lines:  # noqa: PTH123 - without pathlib
        for line in lines:
            with suppress(ValueError, RecursionError):
                yield read(line)
