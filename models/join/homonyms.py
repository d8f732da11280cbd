"""Keeps keys of their own for calls whose hash is that of another call.

The key of a call is the hash of its id, which is fixed and known, so that ids with one hash can be searched for. The
first call of a hash has it as its key; each further one has a key drawn from a seed that only the run's folder knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from xxhash import xxh3_64_intdigest

from models.arrays import U64, Bools

_ALL_BITS: Final = 2**64 - 1

OwnKeys = list[tuple[str, int, int]]
"""(id, key, hash) of each."""


class Homonyms:
    """The ids whose key is not their hash. Nearly always there are none, and then nothing here costs anything."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._keys: dict[str, int] = {}
        self._hashes: dict[int, int] = {}
        """By key."""
        self._owners: dict[int, str] = {}
        """By key."""
        self._stored = 0

    def __len__(self) -> int:
        return len(self._keys)

    def key(self, call_id: str) -> int | None:
        """The key of its own that an id has."""
        return self._keys.get(call_id)

    def owner(self, key: int) -> str | None:
        """The id that has this key for its own."""
        return self._owners.get(key)

    def hashes(self, keys: U64) -> U64:
        """The hashes of the ids with these keys: orders rest on them, as they do not depend on the seed. O(n)."""
        if not self._hashes:
            return keys
        return np.array([self._hashes.get(key, key) for key in keys.tolist()], np.uint64)

    def concern(self, keys: U64) -> Bools:
        """Which of `keys`, as hashes, may be of ids that have a key of their own, or be such keys."""
        if not self._hashes:
            return np.zeros(len(keys), np.bool_)
        known = np.array([*self._hashes, *self._hashes.values()], np.uint64)
        return np.isin(keys, known)

    def add(self, call_id: str, hash_: int, is_taken: Callable[[int], bool]) -> int:
        """Draw a key for an id that has none; `is_taken`: whether another call has a key."""
        turn = 1
        while is_taken(key := xxh3_64_intdigest(call_id.encode(), (self._seed + turn) & _ALL_BITS)) or (
            key in self._hashes
        ):
            turn += 1
        self._keys[call_id], self._hashes[key], self._owners[key] = key, hash_, call_id
        return key

    def keep(self, is_used: Callable[[U64], Bools]) -> None:
        """Forget keys under which there is no call any more."""
        if self._hashes:
            used = is_used(np.array([*self._hashes], np.uint64)).tolist()
            self._restore([row for row, kept in zip(self._plain(), used, strict=True) if kept])

    def state(self) -> OwnKeys:
        """As plain values. Changes count from here on."""
        self._stored = len(self._keys)
        return self._plain()

    def changes(self) -> OwnKeys:
        """The part of `state` that is new since the last of both."""
        stored, self._stored = self._stored, len(self._keys)
        return self._plain()[stored:] if len(self._keys) > stored else []

    def _plain(self) -> OwnKeys:
        return [(call_id, key, self._hashes[key]) for call_id, key in self._keys.items()]

    @classmethod
    def from_state(cls, state: Iterable[tuple[str, int, int]], seed: int) -> Homonyms:
        """Read `state`."""
        homonyms = cls(seed)
        homonyms._restore(state)
        homonyms._stored = len(homonyms)
        return homonyms

    def _restore(self, rows: Iterable[tuple[str, int, int]]) -> None:
        self._keys, self._hashes, self._owners = {}, {}, {}
        for call_id, key, hash_ in rows:
            self._keys[call_id], self._hashes[key], self._owners[key] = key, hash_, call_id
