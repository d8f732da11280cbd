"""A folder of segments on a local disk."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from aftercall.errors import NEW_OUT, StateError
from connectors.fsync import sync
from connectors.own_files import open_own

_NAME: Final = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*")
_SUFFIX: Final = ".segment"


class SegmentFolder:
    """Reads and writes segments by name. A name is used once: a file that is there is never written again."""

    def __init__(self, path: Path) -> None:
        """`path`: need not exist before the first `write`."""
        self.path = path
        self._unsynced: list[Path] = []
        self._deleted = False

    def read(self, name: str) -> bytes:
        """The content of a segment.

        Raises:
            StateError: it is missing, or cannot be read.
        """
        file = self.file(name)
        try:
            return file.read_bytes()
        except OSError as wrong:
            raise StateError(
                f"{file}: a part of the stored state must be readable; {wrong.strerror} (put the folder back from a "
                f"copy, or {NEW_OUT})"
            ) from None

    def write(self, name: str, data: bytes) -> None:
        """Write a segment; it is durable after the next `settle`.

        Raises:
            OSError: it cannot be written, or is there already.
        """
        self.path.mkdir(exist_ok=True)
        file = self.file(name)
        with open_own(file, "xb") as out:
            out.write(data)
        self._unsynced.append(file)

    def settle(self) -> None:
        """Make what was written and deleted durable: one `fsync` for each new file, and one for the folder.

        Raises:
            OSError: the disk refuses.
        """
        written, self._unsynced = self._unsynced, []
        for file in written:
            sync(file)
        if written or self._deleted:
            sync(self.path)
        self._deleted = False

    def delete(self, names: Iterable[str]) -> None:
        """Delete segments; those that are gone already are not missed. Durable after the next `settle`."""
        for name in names:
            self.file(name).unlink(missing_ok=True)
            self._deleted = True

    def sweep(self, needed: Collection[str]) -> None:
        """Delete every file but the segments needed; others are left by a run that ended before it could delete them.

        Folders are none of ours, and stay. No run may write to the folder meanwhile.
        """
        if not self.path.is_dir():
            return
        kept = {f"{name}{_SUFFIX}" for name in needed}
        stale = [file for file in self.path.iterdir() if file.name not in kept and not file.is_dir()]
        for file in stale:
            file.unlink()
        if stale:
            sync(self.path)

    def size(self, name: str) -> int | None:
        """Bytes of a segment; None where it is missing."""
        try:
            return self.file(name).stat().st_size
        except OSError:
            return None

    def file(self, name: str) -> Path:
        """Where a segment lies.

        Raises:
            StateError: this is no name of a segment, so that it may lead elsewhere.
        """
        if not _NAME.fullmatch(name):
            raise StateError(f"{self.path}: names of stored parts must be plain; {name!r} is not")
        return self.path / f"{name}{_SUFFIX}"
