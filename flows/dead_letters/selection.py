"""Selects dead letters, and finds out which of them were redriven: without holding all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush, nlargest
from typing import Final, NamedTuple

from aftercall.events import MAX_RECORD_BYTES
from aftercall.records import DeadLetter, FileOrigin, TopicOrigin
from flows.dead_letters.logs import REDRIVEN, Log, LoggedLetter

MOST_RECORDS: Final = 100_000
MOST_BYTES: Final = 256 << 20
"""Most records, and bytes of them and their letters, that one command sends again."""

_Origin = TopicOrigin | FileOrigin


@dataclass(frozen=True)
class Selection:
    """Which dead letters are meant.

    Attributes:
        reasons: their reasons; empty for all.
        since_us: the earliest time at which they were written, us since 1970 UTC; None for all.
    """

    reasons: frozenset[str] = frozenset()
    since_us: int | None = None

    def of(self, letters: Iterable[LoggedLetter]) -> Iterator[LoggedLetter]:
        """Those that are meant, each once, without marks."""
        seen: set[int] = set()
        for letter in letters:
            record = letter.record
            if record.reason == REDRIVEN or (self.reasons and record.reason not in self.reasons):
                continue
            if self.since_us is not None and letter.at_us is not None and letter.at_us < self.since_us:
                continue
            number = int(record.event_id, 16)  # a text would take twice the memory
            if number not in seen:  # after a crash the same letter is written again
                seen.add(number)
                yield letter


@dataclass
class Marks:
    """What was redriven.

    Attributes:
        places: `event_id` of a dead letter -> where its record is now.
        of: a place of a record -> the `event_id` of the dead letter that it was sent again for.
    """

    places: dict[str, _Origin | None] = field(default_factory=dict)
    of: dict[_Origin, str] = field(default_factory=dict)

    def add(self, record: DeadLetter) -> None:
        """Take in a record of the log, if it is a mark."""
        if record.reason != REDRIVEN or record.redriven_of is None:
            return
        self.places[record.redriven_of] = record.origin
        if record.origin is not None:
            self.of[record.origin] = record.redriven_of

    def redriven_of(self, record: DeadLetter) -> str | None:
        """Of a dead letter of a record that was sent again, the dead letter before it.

        Those that the join refused do not name it themselves.
        """
        return record.redriven_of or (None if record.origin is None else self.of.get(record.origin))


class Survey(NamedTuple):
    """What there is: how many of each reason, the newest, the newest first, and the marks."""

    counts: Counter[str]
    newest: list[LoggedLetter]
    marks: Marks


def survey(log: Log, selection: Selection, limit: int) -> Survey:
    """Count the selected dead letters, and keep the `limit` newest. Reads the log once."""
    counts, marks = Counter[str](), Marks()

    def counted() -> Iterator[LoggedLetter]:
        for letter in selection.of(_marking(log, marks)):
            counts[letter.record.reason] += 1
            yield letter

    newest = nlargest(limit, counted(), key=lambda letter: letter.order)
    return Survey(counts, newest, marks)


def find(log: Log, event_id: str) -> tuple[list[LoggedLetter], Marks]:
    """The dead letters whose `event_id` begins so, at most two of them, and the marks. Reads the log once."""
    marks, found = Marks(), dict[str, LoggedLetter]()
    for letter in _marking(log, marks):
        if letter.record.event_id.startswith(event_id) and letter.record.reason != REDRIVEN and len(found) < 2:
            found.setdefault(letter.record.event_id, letter)
    return list(found.values()), marks


class Chosen(NamedTuple):
    """What one command sends again.

    Attributes:
        letters: the oldest first.
        redriven: how many others match and were redriven before.
        left: how many others match, and are too many for one command.
    """

    letters: list[LoggedLetter]
    redriven: int
    left: int


def choose(log: Log, selection: Selection, *, repeat: bool) -> Chosen:
    """The oldest of the selected dead letters. Reads the log twice: a mark comes after its letter.

    Args:
        log: where they are.
        selection: which ones.
        repeat: choose those too that were redriven before.
    """
    marks = Marks()
    for _ in _marking(log, marks):
        pass
    heap: list[tuple[tuple[int, ...], int, LoggedLetter]] = []
    size = redriven = left = 0
    for number, letter in enumerate(selection.of(log.letters())):
        if letter.record.event_id in marks.places and not repeat:
            redriven += 1
            continue
        heappush(heap, (tuple(-part for part in letter.order), number, letter))
        size += _bytes(letter)
        while len(heap) > MOST_RECORDS or (size > MOST_BYTES and len(heap) > 1):
            size -= _bytes(heappop(heap)[2])
            left += 1
    letters = sorted((letter for *_, letter in heap), key=lambda letter: letter.order)
    return Chosen(letters, redriven, left)


def _bytes(letter: LoggedLetter) -> int:
    return min(letter.record.size, MAX_RECORD_BYTES) + len(letter.record.payload or "")


def _marking(log: Log, marks: Marks) -> Iterator[LoggedLetter]:
    for letter in log.letters():
        marks.add(letter.record)
        yield letter
