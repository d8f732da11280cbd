"""Writes texts as Parquet files, in a folder for each day of their calls.

What an epoch brings becomes a piece for each of its days, durable before the epoch is stored; a run that resumes at an
earlier cut removes the pieces of later ones. Small pieces are merged, so that a day ends as one file or a few.
Rows are sorted by `call_id`, and row groups are small: a look-up by id reads one of each file. The rows of a call that
was reported twice become one where they meet.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from aftercall.times import DAY_US, EPOCH
from connectors.fsync import sync
from connectors.texts.call_text import CallText, TextError, keeping
from connectors.texts.parquet import PLAIN, TextFiles
from connectors.texts.pieces import Piece, days_in, pieces_in

_PIECE_BYTES: Final = 32 * 1024 * 1024
"""Texts of so many characters are written without waiting for the epoch's end."""
_FEWEST: Final = 8
"""Pieces of about one size are merged once there are so many."""
_LARGEST: Final = (2, 8)
"""A piece is merged with those after it if it has at most so many times their bytes: while the day lasts, and then."""


class DayFiles:
    """The files of all days. Only `merge` may run in another thread, beside `add` and `commit`."""

    def __init__(self, folder: Path, mode: int | None = None, key: bytes | None = None) -> None:
        """Prepare it.

        Args:
            folder: need not exist.
            mode: rights of the files; None: they are for this user alone.
            key: encrypts them.
        """
        self.folder, self._parquet = folder, TextFiles(key)
        self._mode = 0o400 if mode is None else mode
        self._cut = 0
        self._waiting: dict[int, list[CallText]] = defaultdict(list)
        self._size = self._number = 0
        self._unsynced: list[Path] = []

    def resume(self, cut: int) -> None:
        """Remove what was written after a cut, and what a killed run has left.

        Raises:
            TextError: the disk refuses.
        """
        self._cut = cut
        with keeping(self.folder):
            for day in days_in(self.folder):
                current, superseded = pieces_in(day)
                late = [piece for piece in current if piece.cut > cut]
                drafts = day.glob("*.draft")
                _remove(day, [*drafts, *(piece.path for piece in (*late, *superseded))])

    def add(self, texts: Iterable[CallText]) -> None:
        """Take texts in; they are durable after the next `commit`."""
        for text in texts:
            self._waiting[text.at // DAY_US].append(text)
            self._size += text.size
        if self._size > _PIECE_BYTES:
            self._write()

    def commit(self, cut: int) -> None:
        """Make all that was added durable under the next cut.

        Raises:
            TextError: the disk refuses.
        """
        self._write()
        unsynced, self._unsynced = self._unsynced, []
        with keeping(self.folder):
            for path in unsynced:
                sync(path)
            for folder in {path.parent for path in unsynced}:
                sync(folder)
            if unsynced:
                sync(self.folder)
                sync(self.folder.parent)
        self._cut, self._number = cut, 0

    def merge(self, stored: int, today: int) -> None:
        """Merge small pieces; O(their bytes), and some 150 MB of memory.

        Args:
            stored: the newest cut that a resume cannot go back behind.
            today: days since 1970; earlier ones are over.
        """
        with keeping(self.folder):
            for day in days_in(self.folder):
                current, superseded = pieces_in(day)
                _remove(day, [piece.path for piece in superseded])
                chosen = self._to_merge([piece for piece in current if piece.cut <= stored], over=_number(day) < today)
                if chosen:
                    self._merge(chosen, from_start=chosen[0] == current[0])

    def tidy(self) -> None:
        """Remove what is superseded, although a reader may have it open."""
        with keeping(self.folder):
            for day in days_in(self.folder):
                _remove(day, [piece.path for piece in pieces_in(day)[1]])

    def forget(self, before_us: int) -> None:
        """Remove the days that ended before a time."""
        with keeping(self.folder):
            for day in days_in(self.folder):
                if (_number(day) + 1) * DAY_US <= before_us:
                    _remove(day, list(day.iterdir()))
                    day.rmdir()

    def erase(self, call_ids: Sequence[str]) -> set[tuple[str, int]]:
        """Rewrite the files that have texts of these calls, without them; to be called right after `commit`.

        Returns:
            The calls that had any, by id and time. O(ids in all files).
        """
        erased = set[tuple[str, int]]()
        with keeping(self.folder):
            for day in days_in(self.folder):
                current, superseded = pieces_in(day)
                _remove(day, [piece.path for piece in superseded])
                erased.update(*(self._erase(piece, call_ids) for piece in current))
        return erased

    def locked(self) -> Path | None:
        """A file under another key than this one, from which no call can be erased; None without any."""
        found = (piece for day in days_in(self.folder) for pieces in pieces_in(day) for piece in pieces)
        return next((piece.path for piece in found if piece.suffix not in {PLAIN, self._parquet.suffix}), None)

    def _write(self) -> None:
        waiting, self._waiting, self._size = self._waiting, defaultdict(list), 0
        with keeping(self.folder):
            for number, texts in sorted(waiting.items()):
                day = self._day(number)
                piece = Piece.written(day, self._cut + 1, self._number, self._parquet.suffix)
                self._put(piece.path, functools.partial(self._parquet.write, texts))
                self._unsynced.append(piece.path)
        self._number += bool(waiting)

    def _day(self, number: int) -> Path:
        day = self.folder / date.fromordinal(EPOCH.toordinal() + number).isoformat()
        for folder in (self.folder, day):
            if not folder.is_dir():
                folder.mkdir(mode=0o700)  # one that is killed here leaves it closed, not open
                folder.chmod(0o700 | self._mode & 0o444 | (self._mode & 0o444) >> 2)
        return day

    def _put(self, path: Path, write: Callable[[Path], None]) -> None:
        """Let a file be written beside its place, and move it there."""
        draft = path.with_name(f"{path.name}.draft")
        draft.unlink(missing_ok=True)
        write(draft)
        draft.chmod(self._mode)
        draft.replace(path)

    def _to_merge(self, pieces: list[Piece], *, over: bool) -> list[Piece]:
        """The newest pieces that are small beside those after them; none where they are too few."""
        chosen: list[Piece] = []
        total = 0
        for piece in reversed(pieces):
            size = piece.path.stat().st_size
            if piece.suffix != self._parquet.suffix or (chosen and size > _LARGEST[over] * total):
                break
            chosen.append(piece)
            total += size
        return chosen[::-1] if len(chosen) >= (2 if over else _FEWEST) else []

    def _merge(self, pieces: list[Piece], *, from_start: bool) -> None:
        paths = [piece.path for piece in pieces]
        self._put(Piece.of(pieces).path, lambda draft: self._parquet.merge(paths, draft, from_start=from_start))
        sync(pieces[0].path.parent)

    def _erase(self, piece: Piece, call_ids: Sequence[str]) -> set[tuple[str, int]]:
        if piece.suffix not in {PLAIN, self._parquet.suffix}:
            raise TextError(
                f"{piece.path}: must be under the key of texts.key_file, so that calls can be erased; it is under "
                "another one (put that key back, or delete the file)"
            )
        found = self._parquet.calls(piece.path, call_ids)
        if found:
            self._put(piece.path, lambda draft: self._parquet.without(piece.path, call_ids, draft))
            sync(piece.path.parent)
        return found


def _number(day: Path) -> int:
    """Days since 1970."""
    return datetime.strptime(day.name, "%Y-%m-%d").replace(tzinfo=UTC).toordinal() - EPOCH.toordinal()


def _remove(day: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
    if paths:
        sync(day)
