"""Replays files: records in order of event time, with the watermark each of them meets."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any, Final

import numpy as np
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from typing_extensions import override

from aftercall.events import MAX_RECORD_BYTES
from aftercall.times import NEVER
from connectors.batch import I32, I64, Batch, Refused, Whole
from connectors.dead_letters import MOST_PARSED
from connectors.decode.decoder import MARK, Decoder
from connectors.decode.validation import over_limit
from connectors.files.index import Index, index
from connectors.files.unpacking import InputError

__all__ = ["FileLane", "FileLanes", "Index", "InputError", "index"]

PART: Final = "files"
_AT_END: Final = 2**63 - 1

FileLaneState = dict[str, Any]


class FileLane(StatefulSourcePartition[Batch, FileLaneState]):
    """Reads all files as one lane. The watermarks depend on the files alone, not on the size of the batches."""

    def __init__(
        self,
        files: Index,
        decoder: Decoder,
        batch_size: int,
        on_progress: Callable[[int, int], None] | None,
        resume_state: FileLaneState | None,
    ) -> None:
        """Start at the beginning, or at the position of `resume_state`.

        Raises:
            InputError: the files are not those of the run to be resumed.
        """
        self._files = files
        self._decoder = decoder
        self._batch_size = batch_size
        self._on_progress = on_progress
        self._position = 0
        self._emitted = len(files) > 0  # empty files give one empty batch, so that sinks open and publish
        self._clocks = np.full(len(files.names), NEVER, dtype=np.int64)
        self._last = np.full(len(files.names), -1, dtype=np.int64)
        np.maximum.at(self._last, files.file, np.arange(len(files)))
        self._last[files.kinds == MARK] = -1  # as if read to its end: the watermark does not wait for marks
        if resume_state is not None:
            self._resume(resume_state)

    def _resume(self, state: FileLaneState) -> None:
        if state["fingerprint"] != self._files.fingerprint:
            raise InputError(
                f"{', '.join(self._files.names)}: not the files this run was started with; their content has changed "
                "(give the same ones again, or choose an empty --out)"
            )
        self._position = state["position"]
        self._clocks[:] = state["clocks"]

    @override
    def next_batch(self) -> list[Batch]:
        """Decode the next records; raises `StopIteration` at the end of all files."""
        start, stop = self._position, min(self._position + self._batch_size, len(self._files))
        if start == stop and self._emitted:
            raise StopIteration
        self._emitted = True
        rows = slice(start, stop)
        file, line = self._files.file[rows], self._files.line[rows]
        batch = self._decoder.decode(self._raws(rows), self._files.kinds[file], file, line, self._files.names)
        batch.refused = [self._mark_truncated(refused) for refused in batch.refused]
        if (self._files.length[rows] > MOST_PARSED).any():
            batch.refused = [self._mark_cut(refused, rows) for refused in batch.refused]
        batch.met(self._advance(file, start, batch.times()))
        self._position = stop
        batch.low, batch.high, batch.last = self._low(stop), self._high(), stop == len(self._files)
        batch.ended = batch.last
        last_lines = dict(zip(file.tolist(), line.tolist(), strict=True))
        batch.marks = {self._files.names[i]: last for i, last in last_lines.items()}
        if self._on_progress is not None:
            self._on_progress(stop, len(self._files))
        return [batch]

    @override
    def snapshot(self) -> FileLaneState:
        """Where to resume: position, clocks, and the fingerprint of the files."""
        return {
            "position": self._position,
            "clocks": self._clocks.tolist(),
            "fingerprint": self._files.fingerprint,
        }

    def _raws(self, rows: slice) -> list[bytes]:
        data = self._files.data
        starts, lengths = self._files.start[rows].tolist(), self._files.length[rows].tolist()
        return [
            data[i][start : start + min(length, MOST_PARSED + 1)]
            for i, start, length in zip(self._files.file[rows].tolist(), starts, lengths, strict=True)
        ]

    def _mark_truncated(self, refused: Refused) -> Refused:
        if (refused.partition, refused.offset) not in self._files.truncated:
            return refused
        return refused._replace(reason="truncated", detail=f"the file's last line is half-written; {refused.detail}")

    def _mark_cut(self, refused: Refused, rows: slice) -> Refused:
        """Of a record of which only the beginning was decoded: size and hash of all of it."""
        if len(refused.raw) <= MOST_PARSED:
            return refused
        file, line = self._files.file[rows], self._files.line[rows]
        row = rows.start + int(np.flatnonzero((file == refused.partition) & (line == refused.offset))[0])
        start, size = self._files.start.item(row), self._files.length.item(row)
        digest = sha256()
        for at in range(start, start + size, MOST_PARSED):
            digest.update(self._files.data[refused.partition][at : min(at + MOST_PARSED, start + size)])
        return refused._replace(
            detail=over_limit(size).detail, raw=refused.raw[:MAX_RECORD_BYTES], whole=Whole(size, digest.hexdigest())
        )

    def _advance(self, file: I32, start: int, at: I64) -> I64:
        """The watermark before each record, and the files' clocks after them.

        Only files that have records in this batch are walked; the clocks of the others do not move.
        """
        present = np.unique(file)
        absent = np.ones(len(self._clocks), dtype=np.bool_)
        absent[present] = False
        absent &= self._last >= start
        least = int(self._clocks[absent].min()) if absent.any() else _AT_END
        watermark = np.full(len(file), least, dtype=np.int64)
        position = np.arange(start, start + len(file))
        for i in present.tolist():
            newest = np.maximum.accumulate(np.where(file == i, at, NEVER))
            after = np.maximum(newest, self._clocks[i])
            before = np.concatenate([self._clocks[i : i + 1], after[:-1]])
            np.minimum(watermark, np.where(position <= self._last[i], before, _AT_END), out=watermark)
            self._clocks[i] = after[-1]
        # Of marks after all calls and outcomes.
        return np.where(watermark == _AT_END, self._high(), watermark)

    def _low(self, position: int) -> int:
        unread = self._last >= position
        return int(self._clocks[unread].min()) if unread.any() else self._high()

    def _high(self) -> int:
        return int(self._clocks.max(initial=NEVER))


class FileLanes(FixedPartitionedSource[Batch, FileLaneState]):
    """Source of a replay: one lane over all files of an `Index`."""

    state_version: Final = 1

    def __init__(
        self,
        files: Index,
        decoder: Decoder,
        *,
        batch_size: int = 20_000,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Prepare the source.

        Args:
            files: from `index`.
            decoder: decodes the records.
            batch_size: records per batch, at most.
            on_progress: called after each batch with the records read so far, and all of them.
        """
        self._files = files
        self._decoder = decoder
        self._batch_size = batch_size
        self._on_progress = on_progress

    @property
    def warnings(self) -> list[str]:
        """Sentences for the user about the files."""
        return self._files.warnings

    @property
    def total(self) -> int:
        """Number of records in all files."""
        return len(self._files)

    @override
    def list_parts(self) -> list[str]:
        """The name of the only lane."""
        return [PART]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: FileLaneState | None) -> FileLane:
        """Build the lane; called once, on the worker that reads."""
        return FileLane(self._files, self._decoder, self._batch_size, self._on_progress, resume_state)
