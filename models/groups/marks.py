"""Which marks are known: repeats and conflicts of their ids, and those whose minute has not closed.

They are read here, where minutes close, so that what closes with a minute does not depend on how batches are cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from aftercall.times import MINUTE_US
from models.messages import Deployed, Mark

MOST_SOURCES, MOST_SCORERS = 256, 100
"""So many sources have their scorers known, and so many each, the newest."""
MOST_KNOWN: Final = 10_000
"""So many ids are known, the newest: a repeat of an older one is a mark again."""
_COMPARED: Final = ("occurred_at", "task_type", "text")


class MarkRefusal(NamedTuple):
    """A mark whose id is known with other content; `detail` names what differs."""

    mark: Mark
    detail: str


class MarksRead(NamedTuple):
    """What became of the marks of a message, each in the order of reading."""

    accepted: Sequence[Mark] = ()
    duplicates: int = 0
    refused: Sequence[MarkRefusal] = ()


class KnownMarks:
    """The marks that were accepted. Memory: 300 bytes for each of `MOST_KNOWN`, and of those whose minute is open."""

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or with the `state()` of another."""
        kept = {"known": {}, "open": (), "scorers": {}} if state is None else state
        self._known: dict[str, tuple[int, int, int]] = dict(kept["known"])
        self._scorers = {source: dict.fromkeys(ids) for source, ids in kept["scorers"].items()}
        """By source, the ids of the marks that its scorers would be."""
        self._open = [Deployed(*one) for one in kept["open"]]

    def read(self, marks: Sequence[Mark]) -> MarksRead:
        """Take in marks, in the order of their partitions."""
        accepted, refused = [], []
        for scorer in (mark for mark in marks if mark.source is not None):
            self._hear(scorer)
        marks = [mark for mark in marks if mark.source is None]
        for mark in marks:
            known = self._known.get(mark.mark_id)
            if known is None:
                accepted.append(mark)
                self._add(mark)
            elif known != mark.contents:
                refused.append(MarkRefusal(mark, _difference(mark, known)))
        return MarksRead(accepted, len(marks) - len(accepted) - len(refused), refused)

    def close(self, through: int) -> tuple[Deployed, ...]:
        """The marks of effective minutes before `through`, by minute, time and id; they are open no longer."""
        closed = sorted((one for one in self._open if one.minute < through), key=_order)
        if closed:
            self._open = [one for one in self._open if one.minute >= through]
        return tuple(closed)

    def state(self) -> dict[str, Any]:
        """Plain values; not a copy."""
        scorers = {source: list(ids) for source, ids in self._scorers.items()}
        return {"known": self._known, "open": [tuple(one) for one in self._open], "scorers": scorers}

    def _add(self, mark: Mark) -> None:
        if len(self._known) >= MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[mark.mark_id] = mark.contents
        self._begin(mark)

    def _begin(self, mark: Mark) -> None:
        minute = max(mark.at, mark.wm) // MINUTE_US
        self._open.append(Deployed(minute, mark.at, mark.mark_id, mark.task_type, mark.text, mark.source))

    def _hear(self, scorer: Mark) -> None:
        """A scorer is a mark where its source had another one before, and not this one."""
        assert scorer.source is not None  # noqa: S101 - that makes it a scorer
        if scorer.source not in self._scorers and len(self._scorers) >= MOST_SOURCES:
            return
        known = self._scorers.setdefault(scorer.source, {})
        if scorer.mark_id in known:
            return
        if known:
            self._begin(scorer)
        known[scorer.mark_id] = None
        if len(known) > MOST_SCORERS:
            del known[next(iter(known))]


def _order(mark: Deployed) -> tuple[int, int, str]:
    return mark.minute, mark.at, mark.mark_id


def _difference(mark: Mark, known: tuple[int, int, int]) -> str:
    name = next(name for name, one, other in zip(_COMPARED, mark.contents, known, strict=True) if one != other)
    return f"another mark has this mark_id, with another {name} (give each mark a mark_id of its own)"
