"""One file of the buffer: texts in the order in which they came, found by the hashes of their calls' ids; failures."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np

from connectors.batch import I64, U64, Bools
from connectors.fsync import sync
from connectors.own_files import open_own
from connectors.texts import failed_calls
from connectors.texts.call_text import CallText
from connectors.texts.frames import ERASED, FAILED, TEXTS, Frame, frames_in, key_of, packed, texts_of

SUFFIX: Final = ".buffer"


class BufferFile:
    """Holds some 24 bytes of memory for each text, which itself stays on the disk, and as many for each failure."""

    def __init__(self, folder: Path, number: int) -> None:
        """Begin with nothing; `load` reads what is there."""
        self.number, self.path = number, folder / f"{number:08}{SUFFIX}"
        self.frames: list[Frame] = []
        self.taken: set[int] = set()
        """Places of texts that have been copied: they are found no more."""
        self._keys: U64 = np.zeros(0, np.uint64)
        self._order: I64 = np.zeros(0, np.int64)
        self._starts: I64 = np.zeros(1, np.int64)
        self._failed: U64 = np.zeros(0, np.uint64)
        self._indexed = 0

    def load(self, cut: int) -> None:
        """Read what is there, and cut off what was written after a cut, or is not whole."""
        with open_own(self.path, "r+b") as file:
            for frame in frames_in(file):
                if frame.cut > cut:
                    break
                self.frames.append(frame)
            file.truncate(self.size)

    def append(self, cut: int, texts: Sequence[CallText]) -> None:
        """Write texts; durable after the next `settle`."""
        self._write(*packed(TEXTS, cut, [key_of(text.call_id) for text in texts], texts, self.size))

    def mark(self, kind: int, cut: int, names: Sequence[int]) -> None:
        """Write names of texts that were taken, or of files that were dropped."""
        self._write(*packed(kind, cut, names, at=self.size))

    def fail(self, cut: int, calls: Collection[tuple[str, int]]) -> None:
        """Write that calls have failed, given by id and time."""
        newest = max(at for _, at in calls)
        self._write(*packed(FAILED, cut, failed_calls.words_of(calls).tolist(), at=self.size, newest=newest))

    def settle(self) -> None:
        """Wait until all is on disk."""
        sync(self.path)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.frames[-1].at + self.frames[-1].size if self.frames else 0

    @property
    def newest(self) -> int:
        """Time of its newest call, us."""
        return max((frame.newest for frame in self.frames), default=0)

    @property
    def left(self) -> int:
        """Texts that were neither copied nor erased."""
        self._index()
        return int(np.count_nonzero(self._keys != ERASED)) - len(self.taken)

    def find(self, calls: Collection[tuple[str, int]], keys: U64) -> Iterator[tuple[int, CallText]]:
        """The texts of calls, given by id and time, that were not copied, with their places.

        `keys`: hashes of the ids. Each frame that has one is decompressed, some 64 KiB; the look-up is O(calls), with
        the logarithm of the texts.
        """
        for place, text in self._with(keys):
            if (text.call_id, text.at) in calls and place not in self.taken:
                yield place, text

    def have_failed(self, marks: U64) -> Bools:
        """Which calls have a failure here, given as `failed_calls.marks_of` does."""
        self._index()
        return failed_calls.are_in(marks, self._failed)

    def erase(self, call_ids: Collection[str], keys: U64) -> set[tuple[str, int]]:
        """Rewrite the file without the texts and failures of calls, if it has any.

        Returns:
            The calls that had texts which were not copied, by id and time.
        """
        gone = {place: text for place, text in self._with(keys) if text.call_id in call_ids}
        if gone or any(np.isin(frame.words[::2], keys).any() for frame in self.frames if frame.kind == FAILED):
            self._rewrite(set(gone), keys)
        erased = {(text.call_id, text.at) for place, text in gone.items() if place not in self.taken}
        self.taken -= gone.keys()
        return erased

    def _with(self, keys: U64) -> Iterator[tuple[int, CallText]]:
        """The texts of the frames that have ids of these hashes."""
        found = self._frames_with(keys)
        if not found:
            return
        texts = [frame for frame in self.frames if frame.kind == TEXTS]
        with open_own(self.path, "rb") as file:
            for number in found:
                for place, text in enumerate(texts_of(file, texts[number]), int(self._starts[number])):
                    if text is not None:
                        yield place, text

    def _frames_with(self, keys: U64) -> list[int]:
        self._index()
        ordered = self._keys[self._order]
        low, high = np.searchsorted(ordered, keys, "left"), np.searchsorted(ordered, keys, "right")
        hits = np.flatnonzero(low < high)
        spans = [self._order[i:j] for i, j in zip(low[hits].tolist(), high[hits].tolist(), strict=True)]
        places = np.concatenate([np.zeros(0, np.int64), *spans])
        return [int(number) for number in np.unique(np.searchsorted(self._starts, places, "right") - 1)]

    def _index(self) -> None:
        if self._indexed == len(self.frames):
            return
        texts = [frame for frame in self.frames if frame.kind == TEXTS]
        self._keys = np.concatenate([np.zeros(0, np.uint64), *(frame.words for frame in texts)])
        self._order = np.argsort(self._keys, kind="stable")
        self._starts = np.fromiter(accumulate((len(frame.words) for frame in texts), initial=0), np.int64)
        failed = [failed_calls.marks_of(frame.words) for frame in self.frames if frame.kind == FAILED]
        self._failed = np.sort(np.concatenate([np.zeros(0, np.uint64), *failed]))
        self._indexed = len(self.frames)

    def _write(self, data: bytes, frame: Frame) -> None:
        with open_own(self.path, "ab") as out:
            out.write(data)
        self.frames.append(frame)

    def _rewrite(self, gone: set[int], keys: U64) -> None:
        """Write the file beside its place, with empty places for what is erased, and move it there.

        `gone`: places of texts; `keys`: hashes of the ids of calls whose failures are erased.
        """
        draft = self.path.with_name(f"{self.path.name}.draft")
        draft.unlink(missing_ok=True)
        frames, at, place = list[Frame](), 0, 0
        with open_own(self.path, "rb") as file, open_own(draft, "xb") as out:
            for frame in self.frames:
                count = len(frame.words) if frame.kind == TEXTS else 0
                lost = {i - place for i in gone if place <= i < place + count}
                texts = texts_of(file, frame) if frame.kind == TEXTS else []
                kept = failed_calls.without(frame.words, keys) if frame.kind == FAILED else frame.words
                words = [ERASED if i in lost else int(word) for i, word in enumerate(kept)]
                left = [None if i in lost else text for i, text in enumerate(texts)]
                data, written = packed(frame.kind, frame.cut, words, left, at, frame.newest)
                out.write(data)
                frames.append(written)
                at, place = at + len(data), place + count
        sync(draft)
        draft.replace(self.path)
        sync(self.path.parent)
        self.frames, self._indexed = frames, -1
