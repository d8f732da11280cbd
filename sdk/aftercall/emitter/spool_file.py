"""A spool on disk: one SQLite file, which survives the process, however it ends.

WAL with `synchronous = NORMAL`: a commit survives a kill of the process without a sync, and a power cut may take the
newest ones. An advisory lock on the file says that its process lives; it ends with the process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from aftercall.emitter.spool import DamagedSpoolError, Row, SpoolError
from aftercall.transports.transport import Message

if TYPE_CHECKING:
    import sqlite3

VERSION: Final = 1
"""Of the table; a spool of another version is left alone."""
_PAGE: Final = 4096
_LEAST_PAGES: Final = 8
_WAL_BYTES: Final = 4 << 20
_FULL: Final = 13
_DAMAGED: Final = (11, 26)  # SQLITE_CORRUPT, SQLITE_NOTADB
_OPEN_AGAIN: Final = 0.95


class SpoolFile:
    """A `Spool` of at most `limit` bytes, and up to 4 MiB of write-ahead log beside it.

    Full, it refuses everything until a twentieth of it is free again: what is refused must not depend on its size.

    Raises:
        DamagedSpoolError: from all methods, where the file is not what was written.
        SpoolError: from all methods, where the disk or its permissions do not let it work.
    """

    place: Literal["held", "spooled"] = "spooled"

    def __init__(self, path: Path, handle: int, limit: int) -> None:
        self.path, self.handle = path, handle
        self._limit = limit
        self._shut_above: float | None = None
        self._db = _Wrapped(path)
        try:
            self._prepare(limit)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, limit: int) -> None:
        self._db.run("pragma journal_mode = wal")
        self._db.run("pragma synchronous = normal")
        self._db.run(f"pragma journal_size_limit = {_WAL_BYTES}")
        self._db.run(f"pragma max_page_count = {max(limit // _PAGE, _LEAST_PAGES)}")
        if self._db.value("pragma user_version") == 0:
            self._db.run("create table if not exists events (n integer primary key, kind text, key text, value blob)")
            self._db.run(f"pragma user_version = {VERSION}")
        if (version := self._db.value("pragma user_version")) != VERSION:
            raise SpoolError(f"has version {version}, not {VERSION}")
        if (said := self._db.value("pragma quick_check(1)")) != "ok":
            raise DamagedSpoolError(str(said))
        self.count: int
        self.count, size, first, last = self._db.row(
            "select count(*), total(length(value) + length(key) + 64), min(n), max(n) from events"
        )
        self.size, self.last = int(size), last or 0
        self._first: int | None = first

    @property
    def first(self) -> int:
        """The lowest number that is left."""
        return self._first or self.last + 1

    def append(self, messages: Sequence[Message]) -> int:
        """Commit the first so many of these: all, or those for which there was room."""
        if self._shut_above is not None and self.size > self._shut_above:
            return 0
        kept = self._fitting(messages)
        while kept and not self._insert(messages[:kept]):
            kept //= 2
        if kept and self._first is None:
            self._first = self.last + 1
        self.count += kept
        self.size += sum(message.size for message in messages[:kept])
        self.last += kept
        self._shut_above = self.size * _OPEN_AGAIN if kept < len(messages) else None
        return kept

    def _fitting(self, messages: Sequence[Message]) -> int:
        size = self.size
        for place, message in enumerate(messages):
            size += message.size
            if size > self._limit:
                return place
        return len(messages)

    def _insert(self, messages: Sequence[Message]) -> bool:
        rows = [(self.last + place, *message) for place, message in enumerate(messages, 1)]
        return self._db.all_or_nothing("insert into events values (?, ?, ?, ?)", rows)

    def read(self, after: int, events: int, size: int) -> list[Row]:
        """The oldest beyond a number."""
        rows: list[Row] = []
        for number, kind, key, value in self._db.rows("select * from events where n > ? order by n", (after,)):
            row = Row(number, Message(kind, key, value))
            rows.append(row)
            size -= row.message.size
            if len(rows) >= events or size <= 0:
                break
        return rows

    def delete(self, numbers: Sequence[int]) -> None:
        """These are settled."""
        size = self._db.value(
            f"select total(length(value) + length(key) + 64) from events where n in ({','.join('?' * len(numbers))})",  # noqa: S608  # placeholders
            numbers,
        )
        if not self._db.all_or_nothing("delete from events where n = ?", [(number,) for number in numbers]):
            raise SpoolError("no room to delete")
        self.count -= len(numbers)
        self.size -= int(size)
        self._first = self._db.value("select min(n) from events")

    def close(self) -> None:
        """Let go of the file, and delete it where it holds nothing."""
        try:
            self._db.close()
            if self.count == 0:
                remove(self.path)
        finally:
            os.close(self.handle)


def remove(path: Path) -> None:
    """Delete a spool with what SQLite keeps beside it."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class _Wrapped:
    """A connection whose errors are those of spools."""

    def __init__(self, path: Path) -> None:
        import sqlite3

        self._errors = sqlite3.Error
        try:
            self._db: sqlite3.Connection = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=1
            )
        except sqlite3.Error as wrong:
            raise self._translated(wrong) from None

    def run(self, sql: str) -> None:
        self.row(sql)

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        return (self.row(sql, values) or [None])[0]

    def row(self, sql: str, values: Sequence[Any] = ()) -> Any:
        try:
            return self._db.execute(sql, values).fetchone()
        except self._errors as wrong:
            raise self._translated(wrong) from None

    def rows(self, sql: str, values: Sequence[Any]) -> Any:
        try:
            yield from self._db.execute(sql, values)
        except self._errors as wrong:
            raise self._translated(wrong) from None

    def all_or_nothing(self, sql: str, rows: Sequence[Sequence[Any]]) -> bool:
        """Whether there was room for it."""
        try:
            self._db.execute("begin immediate")
            self._db.executemany(sql, rows)
            self._db.execute("commit")
        except self._errors as wrong:
            self._roll_back()
            if _code(wrong) == _FULL:
                return False
            raise self._translated(wrong) from None
        return True

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("rollback")
        except self._errors:
            pass

    def close(self) -> None:
        self._db.close()

    @staticmethod
    def _translated(wrong: Exception) -> SpoolError:
        return (DamagedSpoolError if _code(wrong) in _DAMAGED else SpoolError)(str(wrong))


def _code(wrong: Exception) -> int:
    """The primary result code of SQLite, 0 where there is none."""
    return (getattr(wrong, "sqlite_errorcode", 0) or 0) & 0xFF
