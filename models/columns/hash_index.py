"""A vectorised hash index finds, inserts and removes many 64-bit keys in a few numpy calls.

Open addressing with multiplicative hashing and steps of 1, 2, 3, ... slots, which visit every slot of a table of 2^k
and leave no long runs (Knuth, TAOCP 3, 6.4, exercise 20). One turn of a Python loop per step serves all keys at once.
The multiplier comes from a seed: keys that were chosen without it begin at one slot, two by two, with a probability of
at most 2 / 2^k (Dietzfelbinger and others, A reliable randomized algorithm for the closest-pair problem, 1997).
"""

from __future__ import annotations

import numpy as np

from models.arrays import I32, I64, U64

_EMPTY = -1
_GONE = -2
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ALL_BITS = 2**64 - 1
_SMALLEST = 64
_FEW = 8
"""So few keys are faster followed one by one than with numpy."""


class HashIndex:
    """Maps distinct `uint64` keys to `int32` rows that the owner chose.

    The key of every row is kept in `row_key` (indexed by row), so owners need no key column of their own.

    Memory: 8 bytes per row and 6 to 12 per key for the slots.
    """

    def __init__(self, capacity: int = _SMALLEST, seed: int = 0) -> None:
        """`seed`, of 64 bits, decides which slots keys have; nothing that leaves the index depends on it but `rows`."""
        self._multiplier = _GOLDEN ^ np.uint64(seed << 1 & _ALL_BITS)
        self.row_key: U64 = np.zeros(capacity, np.uint64)
        self._live = 0
        self._used = 0
        self._slots: I32 = np.empty(0, np.int32)
        self._shift = np.uint64(0)
        self._allocate(max(_SMALLEST, capacity * 3 // 2 + 1))

    def __len__(self) -> int:
        return self._live

    def find(self, keys: U64) -> I32:
        """Rows of `keys`, -1 where absent. Keys may repeat."""
        slots = self._probe(keys)
        # Where a key is absent, slot -1 is any slot; its row is not used.
        return np.where(slots >= 0, self._slots[slots], np.int32(_EMPTY))

    def find_one(self, key: int) -> int:
        """Row of one key, -1 where absent: faster than `find` for so few."""
        slot = self._follow(key, self._home_of(key), 1)
        return self._slots.item(slot) if slot >= 0 else _EMPTY

    def insert_one(self, key: int, row: int) -> None:
        """As `insert`, for one key; `row_key` must reach up to `row`."""
        if (self._used + 1) * 3 > len(self._slots) * 2:
            self._rebuild(self._live + 1)
        self.row_key[row] = key
        slots, mask, slot, step = self._slots, len(self._slots) - 1, self._home_of(key), 1
        while (held := slots.item(slot)) >= 0:
            slot, step = (slot + step) & mask, step + 1
        slots[slot] = row
        self._used += held == _EMPTY
        self._live += 1

    def remove_one(self, key: int) -> None:
        """As `remove`, for one key."""
        self._slots[self._follow(key, self._home_of(key), 1)] = _GONE
        self._live -= 1

    def replace_one(self, key: int, row: int) -> None:
        """Move a key, which must be present, to another row."""
        self._slots[self._follow(key, self._home_of(key), 1)] = row
        self.row_key[row] = key

    def reserve(self, rows: int) -> None:
        """Make `row_key` reach up to `rows` rows."""
        if rows > len(self.row_key):
            grown = np.zeros(rows, np.uint64)
            grown[: len(self.row_key)] = self.row_key
            self.row_key = grown

    def insert(self, keys: U64, rows: I32) -> None:
        """Add `keys`, which must be distinct and absent, at `rows`."""
        if not len(keys):
            return
        top = int(rows.max()) + 1
        if top > len(self.row_key):
            self.reserve(max(top, len(self.row_key) + len(self.row_key) // 16))
        self.row_key[rows] = keys
        if (self._used + len(keys)) * 3 > len(self._slots) * 2:
            self._rebuild(self._live + len(keys))
        self._place(keys, rows)
        self._live += len(keys)

    def remove(self, keys: U64) -> None:
        """Take out `keys`, which must be distinct and present."""
        slots = self._probe(keys)
        if (slots < 0).any():
            msg = "HashIndex.remove: a key is not in the index"
            raise KeyError(msg)
        self._slots[slots] = _GONE
        self._live -= len(keys)

    def rows(self) -> I32:
        """Rows of all keys, in no particular order."""
        return self._slots[self._slots >= 0]

    def _allocate(self, wanted: int) -> None:
        bits = max(6, int(wanted - 1).bit_length())
        self._slots = np.full(1 << bits, _EMPTY, np.int32)
        self._shift = np.uint64(64 - bits)

    def _home(self, keys: U64) -> I64:
        return ((keys * self._multiplier) >> self._shift).astype(np.int64)

    def _home_of(self, key: int) -> int:
        return (key * int(self._multiplier) & _ALL_BITS) >> int(self._shift)

    def _probe(self, keys: U64) -> I64:
        """Slot of each key, -1 where absent."""
        found = np.full(len(keys), -1, np.int64)
        if not len(keys) or not self._live:
            return found
        mask = len(self._slots) - 1
        at = self._home(keys)
        active, step = np.arange(len(keys)), 1
        while len(active) > _FEW:
            row = self._slots[at]
            hit = (row >= 0) & (self.row_key[row] == keys)
            found[active[hit]] = at[hit]
            (going,) = ((row != _EMPTY) & ~hit).nonzero()
            active, keys, at, step = active[going], keys[going], (at[going] + step) & mask, step + 1
        for i, key, start in zip(active.tolist(), keys.tolist(), at.tolist(), strict=True):
            found[i] = self._follow(key, start, step)
        return found

    def _follow(self, key: int, slot: int, step: int) -> int:
        """Slot of one key, looked for from `slot` on; -1 where absent."""
        slots, keys, mask = self._slots.item, self.row_key.item, len(self._slots) - 1
        while (row := slots(slot)) != _EMPTY:
            if row >= 0 and keys(row) == key:
                return slot
            slot, step = (slot + step) & mask, step + 1
        return -1

    def _place(self, keys: U64, rows: I32) -> None:
        mask = len(self._slots) - 1
        at, step = self._home(keys), 1
        while len(at) > _FEW:
            row = self._slots[at]
            (fresh,) = (row < 0).nonzero()
            self._slots[at[fresh]] = rows[fresh]
            # Several keys may have claimed one slot: the last writer holds it, the others move on.
            won = np.zeros(len(at), np.bool_)
            won[fresh] = self._slots[at[fresh]] == rows[fresh]
            self._used += int(np.count_nonzero(won & (row == _EMPTY)))
            lost = ~won
            at, rows, step = (at[lost] + step) & mask, rows[lost], step + 1
        slots = self._slots
        for slot, new in zip(at.tolist(), rows.tolist(), strict=True):
            distance = step
            while (held := slots.item(slot)) >= 0:
                slot, distance = (slot + distance) & mask, distance + 1  # noqa: PLW2901 (walks on)
            slots[slot] = new
            self._used += held == _EMPTY

    def _rebuild(self, expected: int) -> None:
        """Fresh slots for `expected` keys: drops the marks of removed ones."""
        rows = self.rows()
        self._allocate(max(_SMALLEST, expected * 3 // 2 + 1))
        self._used = 0
        self._place(self.row_key[rows], rows)
