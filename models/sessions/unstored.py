"""Notes which rows of a shard have changed since they were last stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from models.arrays import I32, U64

_NONE: Final = np.zeros(0, np.int32)


class Changed(NamedTuple):
    """Rows that have changed, ascending, each once; some may be free by now.

    `whole`: sessions of which something may have gone, so that nothing counts that was stored of them before;
    `dropped`: keys of sessions of which the same is true, and that may be gone; `lone_gone`: keys of lone outcomes of
    others, likewise.
    """

    sessions: I32
    whole: I32
    calls: I32
    lone: I32
    lone_gone: U64
    dropped: U64


class Unstored:
    """What has changed; nothing is noted until the state has been stored whole."""

    def __init__(self) -> None:
        self._is_on = False
        self._clear()

    def _clear(self) -> None:
        self._sessions: list[I32] = []
        self._calls: list[I32] = []
        self._lone: list[I32] = []
        self._dropped: list[U64] = []
        self._lone_gone: list[U64] = []
        self._whole = set[int]()
        self._count = 0

    def __len__(self) -> int:
        """About how many rows have changed."""
        return self._count + 8 * len(self._whole)

    @property
    def is_on(self) -> bool:
        """Whether changes are noted."""
        return self._is_on

    def begin(self) -> None:
        """All is stored; note what changes from here on."""
        self._clear()
        self._is_on = True

    def stop(self) -> None:
        """Only the whole state will do: what was stored must be replaced."""
        self._clear()
        self._is_on = False

    def touch(self, sessions: I32, calls: I32 = _NONE, lone: I32 = _NONE) -> None:
        """Rows that are new or changed, and their sessions."""
        if self._is_on:
            self._sessions.append(sessions)
            self._calls.append(calls)
            self._lone.append(lone)
            self._count += max(len(calls), len(lone), 1)

    def renew(self, sessions: Iterable[int]) -> None:
        """Sessions of which something may have gone."""
        if self._is_on:
            self._whole.update(sessions)

    def forget_lone(self, sessions: I32, keys: U64) -> None:
        """Lone outcomes that are gone, by their keys, of sessions of which the rest stays."""
        if self._is_on:
            self._sessions.append(sessions)
            self._lone_gone.append(keys)
            self._count += len(keys)

    def drop(self, keys: U64) -> None:
        """Sessions that are gone, by their keys."""
        if self._is_on:
            self._dropped.append(keys)
            self._count += len(keys)

    def take(self) -> Changed:
        """What has changed; from here on, what changes after it."""
        whole = np.array(sorted(self._whole), np.int32)
        sessions = np.unique(np.concatenate([_NONE, whole, *self._sessions]))
        calls, lone = (np.unique(np.concatenate([_NONE, *rows])) for rows in (self._calls, self._lone))
        none = np.zeros(0, np.uint64)
        dropped, gone = (np.unique(np.concatenate([none, *keys])) for keys in (self._dropped, self._lone_gone))
        self._clear()
        return Changed(sessions, whole, calls, lone, gone, dropped)
