"""A column of optional texts takes 8 bytes for each row, and the UTF-8 of those that there are in one growing arena.

The arena is rewritten once half of it is garbage.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.arrays import I32, U64

_NONE = 0
_COMPACT_AT = 1 << 16
_LENGTH_BITS, _LENGTH = 16, 0xFFFF


class TextColumn:
    """Texts of up to 65,535 bytes by row; None at first. Rows are the owner's, who resizes the column with them."""

    def __init__(self) -> None:
        self._places: U64 = np.zeros(0, np.uint64)
        # Byte 0 is of no text, so that no place is `_NONE`.
        self._arena = bytearray(1)
        self._garbage = 0

    def resize(self, rows: int) -> None:
        """Have `rows` rows."""
        places = np.zeros(rows, np.uint64)
        places[: len(self._places)] = self._places
        self._places = places

    def put(self, row: int, text: str | None) -> None:
        """Set the text of a row that has none."""
        if text is not None:
            self._places[row] = self._added(text.encode())

    def get(self, row: int) -> str | None:
        """The text at `row`."""
        place = self._places.item(row)
        if place == _NONE:
            return None
        start, length = place >> _LENGTH_BITS, place & _LENGTH
        return self._arena[start : start + length].decode()

    def drop(self, row: int) -> None:
        """Forget the text at `row`."""
        place = self._places.item(row)
        if place == _NONE:
            return
        self._garbage += place & _LENGTH
        self._places[row] = _NONE
        if self._garbage > _COMPACT_AT and self._garbage * 2 > len(self._arena):
            self._compact()

    def state_of(self, rows: I32) -> dict[str, Any]:
        """Plain values of `rows`, in that order: which have a text, and these one after the other."""
        places = self._places[rows]
        (has_text,) = places.nonzero()
        starts, lengths = _parts(places[has_text])
        at = np.repeat(starts - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        text = np.frombuffer(self._arena, np.uint8)[at]
        return {"has_text": has_text.astype(np.int32), "text": text, "lengths": lengths.astype(np.uint16)}

    def put_state(self, rows: I32, state: dict[str, Any]) -> None:
        """Set `rows`, which have no texts, from `state_of`."""
        lengths = state["lengths"].astype(np.uint64)
        starts = np.cumsum(lengths) - lengths + np.uint64(len(self._arena))
        self._places[rows[state["has_text"]]] = (starts << np.uint64(_LENGTH_BITS)) | lengths
        self._arena += state["text"].tobytes()

    def _added(self, text: bytes) -> int:
        place = (len(self._arena) << _LENGTH_BITS) | len(text)
        self._arena += text
        return place

    def _compact(self) -> None:
        old, self._arena, self._garbage = self._arena, bytearray(1), 0
        for row in self._places.nonzero()[0].tolist():
            place = self._places.item(row)
            start, length = place >> _LENGTH_BITS, place & _LENGTH
            self._places[row] = self._added(bytes(old[start : start + length]))


def _parts(places: U64) -> tuple[Any, Any]:
    """Beginnings and lengths of texts."""
    return (places >> np.uint64(_LENGTH_BITS)).astype(np.int64), (places & np.uint64(_LENGTH)).astype(np.int64)
