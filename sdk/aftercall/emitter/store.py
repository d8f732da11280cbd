"""Keeps the spools of one process: the one it appends to, and those it only empties."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from aftercall.emitter.folder import Folder
from aftercall.emitter.limits import Limits
from aftercall.emitter.log import warn_once
from aftercall.emitter.memory_spool import MemorySpool
from aftercall.emitter.spool import DamagedSpoolError, Row, Spool, SpoolError
from aftercall.emitter.spool_file import SpoolFile
from aftercall.emitter.tally import Place, Tally
from aftercall.transports.transport import Message


class SpoolReader:
    """A spool as deliveries see it: how far it was read, and what of it is out.

    `out`: numbers that were handed over. `settled`: numbers that are to be deleted. `gone`: it was damaged; what was
    not out is lost. `ours`: what is in it was emitted by this process.
    """

    def __init__(self, spool: Spool, *, ours: bool) -> None:
        self.spool, self.ours = spool, ours
        self.cursor = 0
        self.out: set[int] = set()
        self.settled: list[int] = []
        self.gone = False

    @property
    def place(self) -> Place:
        """Where its events are counted while they are not out."""
        return self.spool.place


class Store:
    """Spools behind one lock, `guard`, which is held in everything that uses SQLite.

    A fork waits for it, so that no child is born with a lock of SQLite that its parent held.
    """

    def __init__(self, folder: Path | None, limits: Limits, tally: Tally) -> None:
        self.guard = threading.RLock()
        self._base, self._limits, self._tally = folder, limits, tally
        self._folder: Folder | None = None
        self._own: SpoolReader | None = None
        self._others: list[SpoolReader] = []
        self.last = 0
        """The number of the newest message of this process."""

    def settle_in(self, destination: str) -> None:
        """Say where events go: each destination has its own spools."""
        if self._base is not None and self._folder is None:
            self._folder = Folder(self._base, destination)

    def append(self, messages: Sequence[Message]) -> tuple[int, Place]:
        """Keep the first so many; where they are counted now."""
        with self.guard:
            own = self._writable()
            try:
                kept = own.spool.append(messages)
            except DamagedSpoolError as wrong:
                self._replace(own, str(wrong))
                return self.append(messages)
            except SpoolError as wrong:
                self._demote(own, str(wrong))
                return self.append(messages)
            self.last = own.spool.last
            return kept, own.place

    def _writable(self) -> SpoolReader:
        if self._own is None:
            spool = self._made()
            spool.last = self.last
            self._own = SpoolReader(spool, ours=True)
        return self._own

    def _made(self) -> Spool:
        """A file; where that cannot be, memory."""
        if self._folder is not None:
            try:
                return self._folder.make(max(0, self._limits.spool_bytes - self._adopted_bytes()))
            except (OSError, SpoolError) as wrong:
                self._folder = None
                warn_once("memory only", "aftercall: no spool can be written (%s): events are in memory only", wrong)
        return MemorySpool()

    def _adopted_bytes(self) -> int:
        """What dead processes left counts as this one's, so that all spools together stay bounded."""
        return sum(other.spool.size for other in self._others if isinstance(other.spool, SpoolFile))

    def adopt(self) -> None:
        """Take over what dead processes left."""
        if self._folder is None:
            return
        with self.guard:
            for spool in self._folder.adopt():
                self._tally.adopt(spool.count)
                self._others.append(SpoolReader(spool, ours=False))

    def sources(self) -> list[SpoolReader]:
        """All spools, the own one first."""
        return ([] if self._own is None else [self._own]) + self._others

    def settled(self, last: int) -> bool:
        """Whether all of this process up to this number are settled; without a wait for the lock."""
        return all(source.spool.first > last for source in self.sources() if source.ours)

    def read(self, source: SpoolReader, events: int, size: int) -> list[Row]:
        """The next rows that are not out; the cursor moves behind them. None where the file is unusable."""
        with self.guard:
            try:
                rows = source.spool.read(source.cursor, events, size)
            except DamagedSpoolError as wrong:
                self._replace(source, str(wrong))
                return []
            except SpoolError as wrong:
                warn_once("read", "aftercall: a spool cannot be read: %s", wrong)
                return []
            if rows:
                source.cursor = rows[-1].number
            skipped = source.out.union(source.settled)
            return [row for row in rows if row.number not in skipped]

    def delete_settled(self, source: SpoolReader) -> None:
        """Delete what is settled; where the disk refuses, it is tried again next time."""
        with self.guard:
            if not source.settled or source.gone:
                return
            try:
                source.spool.delete(source.settled)
                source.settled.clear()
            except DamagedSpoolError as wrong:
                self._replace(source, str(wrong))
            except SpoolError as wrong:
                warn_once("delete", "aftercall: events that were sent cannot be deleted from the spool: %s", wrong)

    def release_empty(self) -> None:
        """Let go of emptied spools that are not appended to."""
        with self.guard:
            for other in [other for other in self._others if not other.out and not other.spool.count]:
                self._others.remove(other)
                other.spool.close()

    def _demote(self, source: SpoolReader, why: str) -> None:
        """Append to memory from now on; what is in the file is still sent from there."""
        warn_once("memory only", "aftercall: the spool cannot be written (%s): events are in memory only", why)
        self._others.append(source)
        self._own, self._folder = None, None

    def _replace(self, source: SpoolReader, why: str) -> None:
        """A damaged file is set aside, and what was in it and is not out is lost."""
        if source.gone:
            return
        source.gone = True
        self._tally.drop("damaged_spool", source.spool.count - len(source.out) - len(source.settled), source.place)
        self._others = [other for other in self._others if other is not source]
        if source is self._own:
            self._own = None
        if self._folder is not None and isinstance(source.spool, SpoolFile):
            self._folder.set_aside(source.spool.path, why)
        self._close(source)

    def close(self) -> None:
        """Let go of all spools; what files hold stays there."""
        with self.guard:
            for source in self.sources():
                self._close(source)
            self._own, self._others = None, []

    @staticmethod
    def _close(source: SpoolReader) -> None:
        try:
            source.spool.close()
        except (OSError, SpoolError) as wrong:
            warn_once("close", "aftercall: a spool cannot be closed: %s", wrong)
