"""Keeps texts of calls, under the cuts of the snapshot: which ones, where, and for how long.

With `all` and `sampled` what comes is kept: the decoder hands on no other texts. With `failed` texts wait in a buffer
for the verdict `failure`. A call that is reported twice has two texts, with different fields, which readers put
together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from aftercall.times import DAY_US, NEVER
from connectors.texts import buffer, pieces
from connectors.texts.buffer import TextBuffer
from connectors.texts.call_text import CallText
from connectors.texts.day_files import DayFiles

KEPT: Final = "texts_kept"
_NO_DAY: Final = 2**62
"""Later than all days."""


class TextSettings(NamedTuple):
    """Settings of the store.

    Attributes:
        only_failed: whether texts wait for their call to fail.
        retention_us: age of a call, from the watermark, at which its day is removed.
        buffer_us: how long a text waits for its call to fail, of event time.
        buffer_bytes: how many bytes may wait.
        key: encrypts the files of days; None: they are not encrypted. The buffer is not.
        keep_buffer: keep the buffer that an earlier run has left, also where no text waits.
    """

    only_failed: bool = False
    retention_us: int = 30 * DAY_US
    buffer_us: int = 2 * DAY_US
    buffer_bytes: int = 2 << 30
    key: bytes | None = None
    keep_buffer: bool = False


class TextStore:
    """The files of days, and the buffer. `merge` may run in another thread, but not beside `forget` and `erase`."""

    def __init__(self, out: Path, settings: TextSettings, mode: int | None = None) -> None:
        """`out`: the run's folder. `mode`: rights of the files of days; None: for this user alone."""
        self._settings = settings
        self._files = DayFiles(out / pieces.TEXTS_FOLDER, mode, settings.key)
        self._buffer = TextBuffer(out / "state" / buffer.WAITING_FOLDER, settings.buffer_us, settings.buffer_bytes)
        self._failed: dict[tuple[str, int], None] = {}
        self._completed: dict[tuple[str, int], None] = {}
        self._kept = 0

    def resume(self, cut: int) -> None:
        """Go back to a cut. A buffer is deleted where no text waits under these settings.

        Raises:
            TextError: the disk refuses.
        """
        self._files.resume(cut)
        if self._settings.only_failed or self._settings.keep_buffer:
            self._buffer.resume(cut)
        else:
            self._buffer.clear()

    def add(self, texts: Sequence[CallText]) -> None:
        """Take in texts of accepted calls, and of records that complete them."""
        if not self._settings.only_failed:
            self._keep(texts)
            return
        for text in texts:
            self._buffer.add(text)
            if text.completes:
                self._completed[text.call_id, text.at] = None

    def fail(self, calls: Collection[tuple[str, int]]) -> None:
        """Have the texts of calls kept, given by id and time, that the buffer has or will have; each is kept once."""
        self._failed.update(dict.fromkeys(calls))

    def commit(self, cut: int, watermark: int) -> Counter[str]:
        """Make all durable under the next cut, us; returns what has become of texts, for the table `pipeline`.

        Raises:
            TextError: the disk refuses.
        """
        self._take()
        counts = self._buffer.commit(cut, watermark)
        self._files.commit(cut)
        counts[KEPT] += self._kept
        self._kept = 0
        return +counts

    def merge(self, stored: int, watermark: int) -> None:
        """Merge small files; see `DayFiles.merge`."""
        if watermark != NEVER:
            self._files.merge(stored, watermark // DAY_US)

    def finish(self, stored: int) -> None:
        """Merge the files of all days: no more will come."""
        self._files.merge(stored, _NO_DAY)
        self._files.tidy()

    def forget(self, watermark: int) -> None:
        """Remove the days that are older than texts are kept."""
        if watermark != NEVER:
            self._files.forget(watermark - self._settings.retention_us)

    def erase(self, call_ids: Collection[str]) -> int:
        """Remove the texts of calls, kept ones and those that wait; to be called right after `commit`.

        Returns:
            How many calls had texts.
        """
        return len(self._files.erase(list(call_ids)) | self._buffer.erase(call_ids))

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the buffer."""
        return self._buffer.size

    def _take(self) -> None:
        """Keep the texts of calls that have failed, now or before they were completed."""
        failed, completed, self._failed, self._completed = self._failed, self._completed, {}, {}
        before = self._buffer.have_failed(completed).tolist()
        late = (call for call, has_failed in zip(completed, before, strict=True) if has_failed)
        for text in self._buffer.take([*failed, *late]):
            self._keep([text])
        if failed:
            self._buffer.remember(failed)

    def _keep(self, texts: Sequence[CallText]) -> None:
        self._files.add(texts)
        self._kept += len(texts)
