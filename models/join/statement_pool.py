"""Holds the statements on the held calls of one shard as numpy columns, 52 bytes each.

Those of one call are a chain from the newest arrival to the oldest, so that one more is put before them without a look
at the others. Texts that are rare lie in dictionaries beside the columns, by row.
"""

from __future__ import annotations

from operator import attrgetter
from sys import intern
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

import numpy as np

from models.arrays import F64, I8, I32, I64, U8
from models.columns.group_sums import stable_order
from models.columns.id_pool import IdPool
from models.join.arrivals import OutcomeColumns
from models.watermark import effective_minute

NO_STATEMENT: Final = -1
"""In place of a row: there is none."""
ASSERTION, BY_VOICE, BY_ID = 0, 1, 2
"""Kinds: an assertion, a retraction of what its voice or, as a further edition, its id has asserted, one of an id."""
MANY_EDITIONS: Final = 255
"""In place of the number of an edition: so many or more."""
NO_AUTHOR: Final = 0
"""The code of the author of a statement without one."""
_FEW: Final = 8
"""So few chains are faster followed one by one than with numpy."""

TEXTS: Final = ("reason", "retracts", "scorer")
"""Fields that are rare, of records and statements."""
POOL_TEXTS: Final = ("reasons", "retracts", "scorers")
"""The dictionaries of them, in the pool and in its state."""
_reason, _scorer = attrgetter("reason"), attrgetter("scorer")
_Value = TypeVar("_Value", str, int)


class _StatementColumns(NamedTuple):
    """Names and types are those of the stored state."""

    at: I64
    source: I32
    """The shard's code; that of the empty text where a retraction names none."""
    given: I8
    """`success` of the record, -1 if absent."""
    kind: U8
    score: F64
    """nan if absent."""
    minute: I32
    author: I32
    """The shard's code, `NO_AUTHOR` if absent."""
    edition: U8
    """Its number among the records of its id, up to `MANY_EDITIONS`."""
    next: I32
    """The row of the statement on the same call that came before it, or `NO_STATEMENT`."""


class StatementPool(IdPool[_StatementColumns]):
    """One row per statement; `ids` holds the `outcome_id`; `reasons`, `retracts`, `scorers` have what is there."""

    UNSTORED: ClassVar = frozenset({"next"})

    def __init__(self) -> None:
        super().__init__(
            _StatementColumns(
                at=np.zeros(1, np.int64),
                source=np.zeros(1, np.int32),
                given=np.full(1, -1, np.int8),
                kind=np.zeros(1, np.uint8),
                score=np.full(1, np.nan),
                minute=np.zeros(1, np.int32),
                author=np.full(1, NO_AUTHOR, np.int32),
                edition=np.ones(1, np.uint8),
                next=np.full(1, NO_STATEMENT, np.int32),
            )
        )
        self.reasons: dict[int, str] = {}
        self.retracts: dict[int, str] = {}
        self.scorers: dict[int, str] = {}
        """Interned, as many statements have the same."""

    def _bind(self, columns: _StatementColumns) -> None:
        super()._bind(columns)
        self.at, self.source, self.given, self.kind, self.score = columns[:5]
        self.minute, self.author, self.edition, self.next = columns[5:]

    def chains(self, heads: I32) -> tuple[I32, I64]:
        """The statements in the chains that begin at `heads`, which may be `NO_STATEMENT`. O(n) in columns.

        Returns:
            Their rows, and for each the place of its head; one chain after the other, each in the order of arrival.
        """
        rows, places = self.loose_chains(heads)
        order = stable_order((places,))
        return rows[order], places[order]

    def loose_chains(self, heads: I32) -> tuple[I32, I64]:
        """As `chains`, but those of different heads in any order."""
        (place,) = (heads != NO_STATEMENT).nonzero()
        row = heads[place]
        rows, places = [row[:0]], [place[:0]]
        while len(row) > _FEW:
            rows.append(row)
            places.append(place)
            row = self.next[row]
            (longer,) = (row != NO_STATEMENT).nonzero()
            row, place = row[longer], place[longer]
        for start, head in zip(place.tolist(), row.tolist(), strict=True):
            rest = self._chain(head)
            rows.append(rest)
            places.append(np.full(len(rest), start))
        return np.concatenate(rows)[::-1], np.concatenate(places)[::-1]

    def put_assertions(self, outcomes: OutcomeColumns, chosen: I64, authors: I32 | None = None) -> I32:
        """The rows that have the `chosen` outcomes now, as first records of their ids; `authors`: codes of these."""
        records, new = outcomes.records[chosen], self.take_rows(len(chosen))
        self.at[new], self.source[new] = outcomes.at[chosen], outcomes.source[chosen]
        self.given[new], self.score[new] = outcomes.success[chosen], outcomes.score[chosen]
        self.kind[new], self.edition[new] = ASSERTION, 1
        self.author[new] = NO_AUTHOR if authors is None else authors
        self.minute[new] = effective_minute(outcomes.at[chosen], outcomes.wm[chosen])
        self.ids.put_words(new, outcomes.uuid[chosen], lambda i: records[i].outcome_id)
        self.put_texts(new, list(map(_reason, records)), [], list(map(_scorer, records)))
        return new

    def put_texts(
        self, rows: I32, reasons: list[str | None], retracts: list[str | None], scorers: list[str | None]
    ) -> None:
        """Set the texts of rows that have none; an empty list: there are none of these."""
        for into, texts in ((self.reasons, reasons), (self.retracts, retracts), (self.scorers, scorers)):
            if texts.count(None) < len(texts):
                kept = intern if into is self.scorers else str
                by_row = zip(rows.tolist(), texts, strict=True)
                into.update((row, kept(text)) for row, text in by_row if text is not None)

    def give_back(self, rows: I32) -> None:
        """Free rows that are used no longer."""
        for texts in (self.reasons, self.retracts, self.scorers):
            if texts:
                for row in rows.tolist():
                    texts.pop(row, None)
        super().give_back(rows)

    def state_of(self, rows: I32) -> dict[str, Any]:
        """Copies of all columns at `rows`, the ids, and the texts by place."""
        return {**super().state_of(rows), **{name: at_places(getattr(self, name), rows) for name in POOL_TEXTS}}

    def put_state(self, rows: I32, state: dict[str, Any]) -> None:
        """Fill `rows`, which were taken just now, from `state_of`."""
        super().put_state(rows, state)
        for name in POOL_TEXTS:
            kept = intern if name == "scorers" else str
            getattr(self, name).update((rows.item(place), kept(text)) for place, text in state[name].items())

    def _chain(self, row: int) -> I32:
        following, rows = self.next.item, []
        while row != NO_STATEMENT:
            rows.append(row)
            row = following(row)
        return np.array(rows, np.int32)


def at_places(values: dict[int, _Value], rows: I32) -> dict[int, _Value]:
    """The values of `rows`, by place in it."""
    if not values:
        return {}
    found = map(values.get, rows.tolist())
    return {place: value for place, value in enumerate(found) if value is not None}
