"""Keeps what users should know about their records although nothing was refused: the table `pipeline_warnings`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any, Final, Self

from connectors.batch import Warned
from flows.dataflow.late_warnings import LATE_CALLS

_log = logging.getLogger("aftercall.warnings")
_log.addHandler(logging.NullHandler())  # a replay configures no log, and prints its warnings
_COUNTING: Final = frozenset({LATE_CALLS})
"""Kinds whose newest sentence says it all."""
MOST: Final = 200
"""Kinds and subjects that are kept: the first ones, as subjects are named by producers."""


class PipelineWarnings:
    """One warning per kind and subject, with how often and when; the sentence is that of the first, or counts all."""

    def __init__(self, kept: Iterable[Warned] = ()) -> None:
        self._kept = {(warned.kind, warned.subject): warned for warned in kept}
        self._logged = set(self._kept)

    def add_all(self, warnings: Iterable[Warned]) -> None:
        """`add` each."""
        for warned in warnings:
            self.add(warned)

    def add(self, warned: Warned) -> None:
        """Count a warning; the first of its kind and subject is logged."""
        key = warned.kind, warned.subject
        known = self._kept.get(key)
        if known is not None:
            first, last = min(known.first, warned.first), max(known.last, warned.last)
            detail = warned.detail if warned.kind in _COUNTING else known.detail
            times = known.times + warned.times
            self._kept[key] = known._replace(times=times, first=first, last=last, detail=detail)
        elif len(self._kept) < MOST:
            self._kept[key] = warned
            self.log(warned)

    def log(self, warned: Warned) -> None:
        """Log a warning unless one of its kind and subject was; also one that is not kept, as it is found each time."""
        key = warned.kind, warned.subject
        if key not in self._logged and len(self._logged) < 2 * MOST:
            self._logged.add(key)
            _log.warning("%s", warned.detail, extra={"kind": warned.kind, "subject": warned.subject})

    def forget(self, before: int) -> None:
        """Drop those that last happened before an event time, us."""
        self._kept = {key: warned for key, warned in self._kept.items() if warned.last >= before}

    def __iter__(self) -> Iterator[Warned]:
        """All of them, by kind and subject."""
        return iter(sorted(self._kept.values()))

    def state(self) -> list[tuple[Any, ...]]:
        """As plain values."""
        return [tuple(warned) for warned in self._kept.values()]

    @classmethod
    def from_state(cls, state: Iterable[Iterable[Any]]) -> Self:
        """Read `state`."""
        return cls(Warned(*fields) for fields in state)
