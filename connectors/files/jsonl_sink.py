"""Writes a `.jsonl` file that survives crashes.

At resume, the sink truncates the file to what the last committed epoch wrote, once it has found that unchanged.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypedDict

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from aftercall.errors import NEW_OUT, UserError
from connectors.block import Block
from connectors.own_files import open_own

_READ_BYTES: Final = 1024 * 1024


class OutputError(UserError):
    """An output file is not as this run left it. The message is one sentence for the user."""


class JsonlState(TypedDict):
    """How many bytes are surely on disk, and their CRC-32; None in states of the version that had none."""

    length: int
    crc32: int | None


class JsonlPartition(StatefulSinkPartition[Block, JsonlState]):
    """Appends to the open file.

    The checksum is CRC-32, as it can be stored and continued: one pass over the bytes, some 1 GB/s.
    """

    def __init__(self, path: Path, resumed: JsonlState | None) -> None:
        """Open the file. At resume, the bytes to keep are read once.

        Args:
            path: where to write; its folder exists.
            resumed: the bytes to keep, or None to start from scratch.

        Raises:
            OutputError: the file cannot be opened, is shorter than what was committed, or differs from it.
        """
        try:
            self._crc32 = 0 if resumed is None else _checked(path, resumed)
            self._file = open_own(path, "ab")
            self._file.truncate(0 if resumed is None else resumed["length"])
            self._file.seek(0, os.SEEK_END)  # or `tell` would count from the old length
            _sync_folder(path.parent)
        except OSError as wrong:
            raise _cannot_write(path, wrong) from None
        self._path = path

    @override
    def write_batch(self, values: list[Block]) -> None:
        """Append each record as a line; a tombstone is left out, because a file has no keys that it could erase."""
        data = b"".join(line + b"\n" for block in values for _, line in block if line is not None)
        self._crc32 = zlib.crc32(data, self._crc32)
        try:
            self._file.write(data)
        except OSError as wrong:
            raise _cannot_write(self._path, wrong) from None

    @override
    def snapshot(self) -> JsonlState:
        """Flush and sync the file at the end of an epoch; returns what is in it."""
        self._sync()
        return {"length": self._file.tell(), "crc32": self._crc32}

    @override
    def close(self) -> None:
        """Flush, sync and close the file at the end of the dataflow; not called after a crash."""
        self._sync()
        self._file.close()

    def _sync(self) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as wrong:
            raise _cannot_write(self._path, wrong) from None


class JsonlSink(FixedPartitionedSink[Block, JsonlState]):
    """One file, written by one worker; each line is in it once, also after crashes."""

    state_version: Final = 2
    state_migrations: Final[Mapping[int, Any]] = {1: lambda length: {"length": length, "crc32": None}}
    """Version 1 was the length."""

    def __init__(self, path: Path) -> None:
        """Write to `path`; a run that does not resume empties it."""
        self._path = path

    @override
    def list_parts(self) -> list[str]:
        """The file's name, which is the same on every worker."""
        return [self._path.name]

    @override
    def part_fn(self, item_key: str) -> int:
        """All keys go to the only file."""
        return 0

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: JsonlState | None) -> JsonlPartition:
        """Open the file, cut to the last committed length."""
        return JsonlPartition(self._path, resume_state)


def _checked(path: Path, kept: JsonlState) -> int:
    """The CRC-32 of the bytes to keep, which must be as they were written.

    Raises:
        OutputError: they are not.
    """
    left, found = kept["length"], 0
    if path.exists():
        with path.open("rb") as file:
            while left and (data := file.read(min(left, _READ_BYTES))):
                left, found = left - len(data), zlib.crc32(data, found)
    what = ""
    if left:
        what = f"it has {kept['length'] - left}"
    elif kept["crc32"] not in {None, found}:
        what = "they differ"
    if what:
        raise OutputError(
            f"{path}: must have the {kept['length']} bytes that were already committed; {what}, so it was changed "
            f"(put it back from a copy, or {NEW_OUT})"
        )
    return found


def _cannot_write(path: Path, wrong: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written; {wrong.strerror} (check --out and the space on its disk)")


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable too, not just its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
