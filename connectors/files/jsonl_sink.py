"""Writes a `.jsonl` file that survives crashes.

At resume, the sink truncates the file to what the last committed epoch wrote.
"""

from __future__ import annotations

import os
from pathlib import Path

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition
from typing_extensions import override

from aftercall.errors import UserError
from connectors.block import Block


class OutputError(UserError):
    """An output file is not as this run left it. The message is one sentence for the user."""


class JsonlPartition(StatefulSinkPartition[Block, int]):
    """Appends to the open file; its state is the number of bytes that are surely on disk."""

    def __init__(self, path: Path, resume_length: int | None) -> None:
        """Open the file.

        Args:
            path: where to write; its folder exists.
            resume_length: bytes to keep, or None to start from scratch.

        Raises:
            OutputError: the file cannot be opened, or is shorter than what was committed.
        """
        try:
            self._file = path.open("ab")
            size = self._file.tell()
            if resume_length is not None and size < resume_length:
                self._file.close()
                raise OutputError(
                    f"{path}: has {size} bytes but {resume_length} were already committed; it was changed since "
                    "(put it back, or choose an empty --out)"
                )
            self._file.truncate(resume_length or 0)
            self._file.seek(0, os.SEEK_END)  # or `tell` would count from the old length
            _sync_folder(path.parent)
        except OSError as wrong:
            raise _cannot_write(path, wrong) from None
        self._path = path

    @override
    def write_batch(self, values: list[Block]) -> None:
        """Append each record as a line; a tombstone is left out, because a file has no keys that it could erase."""
        try:
            self._file.write(b"".join(line + b"\n" for block in values for _, line in block if line is not None))
        except OSError as wrong:
            raise _cannot_write(self._path, wrong) from None

    @override
    def snapshot(self) -> int:
        """Flush and sync the file at the end of an epoch; returns its length in bytes."""
        self._sync()
        return self._file.tell()

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


class JsonlSink(FixedPartitionedSink[Block, int]):
    """One file, written by one worker; each line is in it once, also after crashes."""

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
    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> JsonlPartition:
        """Open the file, cut to the last committed length."""
        return JsonlPartition(self._path, resume_state)


def _cannot_write(path: Path, wrong: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written; {wrong.strerror} (check --out and the space on its disk)")


def _sync_folder(folder: Path) -> None:
    """Make the file's name durable too, not just its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
