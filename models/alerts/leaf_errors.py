"""Failed trials by the error of their call over the last weeks: which error a change is made of."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from aftercall.vocabulary import OTHER
from models.arrays import F64, I64
from models.columns.minute_rows import BASELINE_HOURS, MinuteRows

MOST_ERRORS: Final = 64
"""Errors of a task type that are counted separately at a time: an error is free text. The others are one, `OTHER`."""
_OTHER_SLOT: Final = 0


class LeafErrors:
    """Rows (leaf and slot, minute, failures) of 12 bytes; each task type has `MOST_ERRORS` slots, a text in each.

    First come, first served; a text gives its slot away once nothing has failed by it for as long as rows are kept, so
    no row of the old text is ever read under the new one.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start empty, or with the `state()` of another instance."""
        state = {"codes": [], "texts": {}, "rows": np.zeros((3, 0), np.int32)} if state is None else state
        self._codes: dict[tuple[int, int], int] = {key: code for code, key in enumerate(state["codes"])}
        self._texts: dict[str, list[tuple[str, int]]] = {task: list(texts) for task, texts in state["texts"].items()}
        """Per task type and slot from 1 on: the text, and the last minute in which a call failed by it."""
        self._rows = MinuteRows(state["rows"])

    def state(self) -> dict[str, Any]:
        """Plain values and arrays; not a copy."""
        return {"codes": list(self._codes), "texts": self._texts, "rows": self._rows.rows()}

    def add(self, rows: list[tuple[int, str, int, str, int]]) -> None:
        """Take in (leaf, its task type, minute, error, failures), by minute, name of the leaf and error.

        That order decides who has a slot, so no cut of the messages can.
        """
        if rows:
            coded = [(self._code(leaf, task, minute, text), minute, count) for leaf, task, minute, text, count in rows]
            self._rows.add(np.array(coded, np.int32).T)

    def between(self, now: int, begin: I64, end: int) -> F64:
        """Failures per (leaf, error) of `keys`; `begin` is per leaf. See `MinuteRows.between`."""
        leaves = np.array([leaf for leaf, _ in self._codes], np.int64)
        rows = self._rows.between(now, begin[leaves], end)
        return np.bincount(rows[0], rows[2], len(self._codes)).astype(np.float64)

    def keys(self, names: list[tuple[str, str, str]]) -> tuple[I64, list[str]]:
        """Leaf and error of each count; `names` are those of the leaves."""
        texts = [
            OTHER if slot == _OTHER_SLOT else self._texts[names[leaf][0]][slot - 1][0] for leaf, slot in self._codes
        ]
        return np.array([leaf for leaf, _ in self._codes], np.int64), texts

    def _code(self, leaf: int, task: str, minute: int, text: str) -> int:
        return self._codes.setdefault((leaf, self._slot(task, minute, text)), len(self._codes))

    def _slot(self, task: str, minute: int, text: str) -> int:
        slots = self._texts.setdefault(task, [])
        found = next((at for at, (known, _) in enumerate(slots) if known == text), None)
        if found is None and text != OTHER:
            # The hour of its last failure must be out of reach of every later look.
            gone = minute // 60 - BASELINE_HOURS
            found = next((at for at, (_, last) in enumerate(slots) if last // 60 <= gone), None)
            if found is None and len(slots) < MOST_ERRORS:
                found = len(slots)
                slots.append((text, minute))
        if found is None:
            return _OTHER_SLOT
        slots[found] = (text, minute)
        return found + 1
