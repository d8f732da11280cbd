"""Holds texts until their calls fail, in files that survive a kill: `state/texts/`.

Texts are written as they come. Once a call fails, its text is copied from here, and a mark is written that it was. A
file whose calls are all older than the buffer's span is given up, and so is the oldest one while the files are too
large together. It is deleted once that decision is stored: a run that resumes before it finds the file.
Of a call that has failed that fact stays as long, as texts that complete it may come later.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from aftercall.times import NEVER
from connectors.batch import Bools
from connectors.fsync import sync
from connectors.texts import failed_calls
from connectors.texts.buffer_file import SUFFIX, BufferFile
from connectors.texts.call_text import CallText, keeping
from connectors.texts.frames import DROPPED, TAKEN, keys_of, name_in, named

WAITING_FOLDER: Final = "texts"
"""In the folder of the state."""
AGED_OUT: Final = "texts_aged_out"
PUSHED_OUT: Final = "texts_pushed_out"
_FRAME_BYTES: Final = 64 * 1024
_FILES: Final = 48
"""A file has about this share of the buffer's span, or of its bytes."""
_LEAST_FILE: Final = 64 * 1024


class TextBuffer:
    """The buffer of a run; not thread-safe."""

    def __init__(self, folder: Path, span_us: int, most_bytes: int) -> None:
        """`folder`: need not exist. `span_us`: of event time. `most_bytes`: of all files together."""
        self.folder, self._span_us, self._most_bytes = folder, span_us, most_bytes
        self._files: list[BufferFile] = []
        self._dropped: list[BufferFile] = []
        self._fresh: list[CallText] = []
        self._fresh_size = self._cut = 0
        self._begun = NEVER
        """The watermark at which the newest file was begun."""
        self._unsettled = False

    def resume(self, cut: int) -> None:
        """Go back to a cut, and delete the files that were given up before it.

        Raises:
            TextError: the disk refuses.
        """
        self._cut = cut
        with keeping(self.folder):
            for draft in self.folder.glob("*.draft"):
                draft.unlink()
            for path in sorted(self.folder.glob(f"*{SUFFIX}")):
                file = BufferFile(self.folder, int(path.name.removesuffix(SUFFIX)))
                file.load(cut)
                self._files.append(file)
            gone = {int(word) for file in self._files for frame in file.frames
                    if frame.kind == DROPPED for word in frame.words}  # fmt: skip
            self._unlink([file for file in self._files if file.number in gone or not file.frames])
            self._files = [file for file in self._files if file.number not in gone and file.frames]
        numbered = {file.number: file for file in self._files}
        for file in self._files:
            for word in (int(word) for frame in file.frames if frame.kind == TAKEN for word in frame.words):
                number, place = name_in(word)
                if number in numbered:
                    numbered[number].taken.add(place)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self._files)

    def add(self, text: CallText) -> None:
        """Take a text in; it is durable after the next `commit`."""
        self._fresh.append(text)
        self._fresh_size += text.size
        if self._fresh_size > _FRAME_BYTES:
            self._flush()

    def take(self, calls: Collection[tuple[str, int]]) -> Iterator[CallText]:
        """The texts of calls that have failed, given by id and time: each once, whatever becomes of the call later."""
        self._flush()
        if not calls or not self._files:
            return
        wanted = set(calls)
        keys = keys_of({call_id for call_id, _ in wanted})
        with keeping(self.folder):
            names = []
            for file in self._files:
                for place, text in file.find(wanted, keys):
                    file.taken.add(place)
                    names.append(named(file.number, place))
                    yield text
            if names:
                self._newest().mark(TAKEN, self._cut + 1, names)
                self._unsettled = True

    def remember(self, calls: Collection[tuple[str, int]]) -> None:
        """Keep in mind that calls have failed, given by id and time, for what will complete them."""
        known = self.have_failed(calls)
        fresh = [call for call, is_known in zip(calls, known.tolist(), strict=True) if not is_known]
        if fresh:
            with keeping(self.folder):
                self._newest().fail(self._cut + 1, fresh)
            self._unsettled = True

    def have_failed(self, calls: Collection[tuple[str, int]]) -> Bools:
        """Which calls are known to have failed; those of files that were given up are not."""
        marks = failed_calls.marks_of(failed_calls.words_of(calls))
        found = np.zeros(len(marks), np.bool_)
        for file in self._files if calls else ():
            found |= file.have_failed(marks)
        return found

    def commit(self, cut: int, watermark: int) -> Counter[str]:
        """Make all durable under the next cut, and give up what is too old or too much.

        Returns:
            How many texts were given up, by `AGED_OUT` and `PUSHED_OUT`.
        """
        self._flush()
        counts = Counter[str]()
        with keeping(self.folder):
            self._unlink(self._dropped)
            self._dropped = []
            for reason in self._given_up(watermark):
                counts[reason] += self._drop(cut)
            if self._unsettled:
                self._files[-1].settle()
                sync(self.folder)
        self._unsettled, self._cut = False, cut
        if self._begun == NEVER:
            self._begun = watermark
        elif self._files and self._is_full(watermark):
            self._begun = watermark
            self._files.append(BufferFile(self.folder, self._files[-1].number + 1))
        return counts

    def erase(self, call_ids: Collection[str]) -> set[tuple[str, int]]:
        """Rewrite the files that have texts or failures of these calls; to be called right after `commit`.

        Returns:
            The calls whose texts were waiting, by id and time.
        """
        wanted, erased = set(call_ids), set[tuple[str, int]]()
        keys = keys_of(wanted)
        with keeping(self.folder):
            for file in (*self._files, *self._dropped):
                erased |= file.erase(wanted, keys)
        return erased

    def clear(self) -> None:
        """Delete all of it."""
        self._files, self._dropped, self._fresh, self._fresh_size = [], [], [], 0
        with keeping(self.folder):
            if self.folder.is_dir():
                shutil.rmtree(self.folder)

    def _flush(self) -> None:
        fresh, self._fresh, self._fresh_size = self._fresh, [], 0
        if fresh:
            with keeping(self.folder):
                self._newest().append(self._cut + 1, fresh)
            self._unsettled = True

    def _newest(self) -> BufferFile:
        if not self._files:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            sync(self.folder.parent)
            self._files.append(BufferFile(self.folder, 1))
        return self._files[-1]

    def _is_full(self, watermark: int) -> bool:
        if not self._files[-1].frames:
            return False
        is_long = watermark - self._begun > self._span_us // _FILES
        return is_long or self._files[-1].size > max(_LEAST_FILE, self._most_bytes // _FILES)

    def _given_up(self, watermark: int) -> Iterator[str]:
        """Why the oldest file is given up, again and again until it is not; the newest one stays."""
        while len(self._files) > 1:
            if watermark != NEVER and self._files[0].newest < watermark - self._span_us:
                yield AGED_OUT
            elif self.size > self._most_bytes:
                yield PUSHED_OUT
            else:
                return

    def _drop(self, cut: int) -> int:
        file = self._files.pop(0)
        self._dropped.append(file)
        self._newest().mark(DROPPED, cut, [file.number])
        self._unsettled = True
        return file.left

    def _unlink(self, files: list[BufferFile]) -> None:
        for file in files:
            file.path.unlink(missing_ok=True)
        if files:
            sync(self.folder)
