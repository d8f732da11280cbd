"""A column of identifiers takes 17 bytes for a UUID instead of 90 for a Python string.

Canonical UUIDs (lower case, hyphens) and bare 32-digit hex ids are packed into 16 bytes; every other id lies as UTF-8
in one growing arena that is rewritten once half of it is garbage.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import I32, I64, U8, U64, Bools
from models.columns.struct_of_arrays import StructOfArrays

_NONE, _UUID, _HEX = 0, 1, 2
TEXT: Final = 3
"""The kind of ids that lie in the arena, and are stored as texts."""
_HYPHENS = (8, 13, 18, 23)
_DIGITS = np.array([i for i in range(36) if i not in _HYPHENS])
_NIBBLE = np.full(256, 255, np.uint8)
_NIBBLE[np.frombuffer(b"0123456789abcdef", np.uint8)] = np.arange(16, dtype=np.uint8)
_COMPACT_AT = 1 << 16
_WORD = 2**64 - 1
_ODD = np.uint64(0x9E3779B97F4A7C15)


class _Places(NamedTuple):
    """Where each id lies: two words of 16 packed bytes, or its place and length in the arena."""

    high: U64
    low: U64
    kind: U8


_NO_ID: Final = _Places(np.array(0, np.uint64), np.array(0, np.uint64), np.array(_NONE, np.uint8))


class IdColumn:
    """Strings by row. Rows are the owner's; a row must be dropped before it is set again."""

    def __init__(self) -> None:
        none = _Places(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0, np.uint8))
        self._rows = StructOfArrays(none, growth=1 / 16)
        self._places = none
        self._arena = bytearray()
        self._garbage = 0

    def resize(self, rows: int) -> None:
        """Make room for at least `rows` rows."""
        if rows > len(self._rows):
            self._rows.append(rows - len(self._rows), _NO_ID)
            self._places = self._rows.columns

    def put(self, rows: I32, ids: list[str]) -> None:
        """Set `ids` at `rows`."""
        lengths = np.fromiter(map(len, ids), np.int32, len(ids))
        rest = np.ones(len(ids), np.bool_)
        for length, kind in ((36, _UUID), (32, _HEX)):
            where = np.flatnonzero(lengths == length)
            if len(where):
                packed, good = _pack([ids[i] for i in where.tolist()] if len(where) < len(ids) else ids, length)
                hit = where[good]
                self._places.high[rows[hit]] = packed[good, 0]
                self._places.low[rows[hit]] = packed[good, 1]
                self._places.kind[rows[hit]] = kind
                rest[hit] = False
        (left,) = rest.nonzero()
        self._put_texts(rows[left], [ids[i] for i in left.tolist()] if len(left) < len(ids) else ids)

    def put_one(self, row: int, text: str, words: tuple[int, int] = (0, 0)) -> None:
        """Set one id, also given as in `put_words`: faster than `put` for so few."""
        if words != (0, 0):
            self._places.high[row], self._places.low[row] = words
            self._places.kind[row] = _UUID
            return
        digits = text.replace("-", "")
        if len(digits) == 32 and len(text) in {32, 36} and digits.isalnum():
            with suppress(ValueError):
                number = int(digits, 16)
                self._places.high[row], self._places.low[row] = number >> 64, number & _WORD
                self._places.kind[row] = _UUID if len(text) == 36 else _HEX
                if self.get(row) == text:
                    return
        self._put_text(row, text.encode())

    def put_words(self, rows: I32, words: U64, text: Callable[[int], str]) -> None:
        """Set UUIDs given as two words, shape (n, 2); where these are zeros, `text` gives the i-th id."""
        self._places.high[rows], self._places.low[rows], self._places.kind[rows] = words[:, 0], words[:, 1], _UUID
        (rest,) = ((words[:, 0] | words[:, 1]) == 0).nonzero()
        if len(rest):
            self.put(rows[rest], [text(i) for i in rest.tolist()])

    def known(self, rows: I32) -> Bools:
        """At which of `rows` there is an id."""
        known: Bools = self._places.kind[rows] != _NONE
        return known

    def same(self, rows: I32, words: U64, text: Callable[[int], str]) -> Bools:
        """Which of `rows` have the i-th of the ids that are given as in `put_words`; a row without an id has none."""
        kind, high, low = self._places.kind[rows], self._places.high[rows], self._places.low[rows]
        same: Bools = (kind == _UUID) & (high == words[:, 0]) & (low == words[:, 1])
        (rest,) = ((kind != _NONE) & ((words[:, 0] | words[:, 1]) == 0)).nonzero()
        if len(rest):
            same[rest] = list(map(str.__eq__, self.texts(rows[rest]), map(text, rest.tolist())))
        return same

    def words(self, rows: I32) -> U64:
        """The ids at `rows` as in `put_words`, shape (n, 2): zeros for those that are no UUIDs."""
        words = np.stack((self._places.high[rows], self._places.low[rows]), axis=1)
        words[self._places.kind[rows] != _UUID] = 0
        return words

    def get(self, row: int) -> str:
        """The id at `row`."""
        kind, place = self._places.kind.item(row), self._places.high.item(row)
        if kind != TEXT:
            text = f"{place:016x}{self._places.low.item(row):016x}"
            return text if kind == _HEX else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        start, length = place >> 16, place & 0xFFFF
        return self._arena[start : start + length].decode()

    def texts(self, rows: I32) -> list[str]:
        """The ids at `rows`."""
        kind = self._places.kind[rows]
        (of_text,) = (kind == TEXT).nonzero()
        if len(of_text) == len(rows):
            return self._texts(rows)
        words = np.stack((self._places.high[rows], self._places.low[rows]), axis=1).astype(">u8").tobytes().hex()
        spelled = np.full((len(rows), 36), ord("-"), np.uint8)
        spelled[:, _DIGITS] = np.frombuffer(words.encode(), np.uint8).reshape(-1, 32)
        text = spelled.tobytes().decode()
        texts = [text[i : i + 36] for i in range(0, len(text), 36)]
        for i in np.flatnonzero((kind != _UUID) & (kind != TEXT)).tolist():
            texts[i] = words[32 * i : 32 * i + 32]
        for i, one in zip(of_text.tolist(), self._texts(rows[of_text]), strict=True):
            texts[i] = one
        return texts

    def _texts(self, rows: I32) -> list[str]:
        """The ids at `rows`, which all lie in the arena: sliced out of one text where that is ASCII."""
        if not len(rows):
            return []
        starts, lengths = _places_in_arena(self._places.high[rows])
        ends = np.cumsum(lengths)
        packed = self._packed(starts, lengths, ends).tobytes()
        bounds = zip((ends - lengths).tolist(), ends.tolist(), strict=True)
        if packed.isascii():
            text = packed.decode()
            return [text[begin:end] for begin, end in bounds]
        return [packed[begin:end].decode() for begin, end in bounds]

    def _packed(self, starts: I64, lengths: I64, ends: I64) -> U8:
        """The bytes of ids in the arena, one after the other; `ends`: the running sum of their lengths."""
        at = np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
        packed: U8 = np.frombuffer(self._arena, np.uint8)[at]
        return packed

    def numbers(self, rows: I32) -> U64:
        """A number of each id: ids that are equal have equal ones, others hardly ever. They hold for this process."""
        kind, high, low = self._places.kind[rows], self._places.high[rows], self._places.low[rows]
        numbers = (high ^ kind) * _ODD ^ low
        (texts,) = (kind == TEXT).nonzero()
        hashes = list(map(hash, self._texts(rows[texts])))
        numbers[texts] = np.array(hashes, np.int64).view(np.uint64)
        return numbers

    def ranks(self, rows: I32) -> I64:
        """Numbers that are in the order of the ids as texts; those of equal ids are equal."""
        if (self._places.kind[rows] == _UUID).all():
            high, low = self._places.high[rows], self._places.low[rows]
            order = np.lexsort((low, high))
            changed = (high[order[1:]] != high[order[:-1]]) | (low[order[1:]] != low[order[:-1]])
            ranks = np.zeros(len(rows), np.int64)
            ranks[order[1:]] = np.cumsum(changed)
            return ranks
        texts = self.texts(rows)
        places = {text: place for place, text in enumerate(sorted(set(texts)))}
        return np.fromiter(map(places.__getitem__, texts), np.int64, len(texts))

    def drop_one(self, row: int) -> None:
        """Forget the id at `row`."""
        if self._places.kind.item(row) == TEXT:
            self._garbage += self._places.high.item(row) & 0xFFFF
        self._places.kind[row] = _NONE
        if self._garbage > _COMPACT_AT and self._garbage * 2 > len(self._arena):
            self._compact()

    def drop(self, rows: I32) -> None:
        """Forget the ids at `rows`."""
        held = rows[self._places.kind[rows] == TEXT]
        self._garbage += int((self._places.high[held] & np.uint64(0xFFFF)).sum())
        self._places.kind[rows] = _NONE
        if self._garbage > _COMPACT_AT and self._garbage * 2 > len(self._arena):
            self._compact()

    def state_of(self, rows: I32) -> dict[str, Any]:
        """Plain values of `rows`, in that order; `put_state` reads them."""
        high, low, kind = self._rows.copied(rows)
        starts, lengths = _places_in_arena(high[kind == TEXT])
        text = self._packed(starts, lengths, np.cumsum(lengths))
        return {"high": high, "low": low, "kind": kind, "text": text, "lengths": lengths.astype(np.uint16)}

    def put_state(self, rows: I32, state: dict[str, Any]) -> None:
        """Set `rows` from `state_of`."""
        self._rows.fill(rows, _Places(state["high"], state["low"], state["kind"]))
        lengths = state["lengths"].astype(np.uint64)
        starts = np.cumsum(lengths) - lengths + np.uint64(len(self._arena))
        self._places.high[rows[state["kind"] == TEXT]] = (starts << np.uint64(16)) | lengths
        self._arena += state["text"].tobytes()

    def _put_texts(self, rows: I32, ids: list[str]) -> None:
        """Set ids that lie in the arena."""
        encoded = [one.encode() for one in ids]
        lengths = np.fromiter(map(len, encoded), np.uint64, len(ids))
        starts = np.cumsum(lengths) - lengths + np.uint64(len(self._arena))
        self._places.high[rows] = (starts << np.uint64(16)) | lengths
        self._places.kind[rows] = TEXT
        self._arena += b"".join(encoded)

    def _put_text(self, row: int, text: bytes) -> None:
        self._places.high[row] = (len(self._arena) << 16) | len(text)
        self._places.kind[row] = TEXT
        self._arena += text

    def _compact(self) -> None:
        old, self._arena, self._garbage = self._arena, bytearray(), 0
        for row in np.flatnonzero(self._places.kind == TEXT).tolist():
            place = int(self._places.high[row])
            start, length = place >> 16, place & 0xFFFF
            self._put_text(row, bytes(old[start : start + length]))


def texts_of(state: dict[str, Any]) -> list[str]:
    """The ids in what `IdColumn.state_of` gave, in order."""
    count = len(state["kind"])
    column, rows = IdColumn(), np.arange(count, dtype=np.int32)
    column.resize(count)
    column.put_state(rows, state)
    return column.texts(rows)


def _places_in_arena(places: U64) -> tuple[I64, I64]:
    """Beginnings and lengths of ids."""
    return (places >> np.uint64(16)).astype(np.int64), (places & np.uint64(0xFFFF)).astype(np.int64)


def _pack(ids: list[str], length: int) -> tuple[U64, NDArray[np.bool_]]:
    """16 bytes of each id as two big-endian words, and which ids are of the packable form."""
    text = "".join(ids)
    if not text.isascii():
        good = np.zeros(len(ids), np.bool_)
        ascii_at = [i for i, one in enumerate(ids) if one.isascii()]
        packed = np.zeros((len(ids), 2), np.uint64)
        if ascii_at:
            packed[ascii_at], good[ascii_at] = _pack([ids[i] for i in ascii_at], length)
        return packed, good
    chars = np.frombuffer(text.encode("ascii"), np.uint8).reshape(len(ids), length)
    digits = _NIBBLE[chars[:, _DIGITS] if length == 36 else chars]
    good = (digits != 255).all(axis=1)
    if length == 36:
        good &= (chars[:, _HYPHENS] == ord("-")).all(axis=1)
    pairs = np.ascontiguousarray((digits[:, ::2] << 4) | digits[:, 1::2])
    return pairs.view(">u8").astype(np.uint64).reshape(len(ids), 2), good
