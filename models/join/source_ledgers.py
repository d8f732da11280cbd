"""Reads what each watched source says of many calls, as if it were alone on them: functions of columns."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from models.arrays import I8, I32, I64, Bools
from models.columns.group_sums import stable_order
from models.join.ledgers_in_columns import Ends, ends
from models.join.opinions_in_columns import Said, newest_so_far, opinions


class SourceLedgers(NamedTuple):
    """Statements of whole ledgers, those of one call one after the other, in their order.

    Attributes:
        number: of the statement's call and source, ascending by call; -1 where the source is not watched.
        minute: from which the statement takes effect.
        first: by number, the first minute of a new statement.
    """

    number: I64
    minute: I32
    first: I32

    @classmethod
    def of(cls, call: I64, source: I32, minute: I32, is_new: Bools, watched: I64) -> Self:
        """Of all statements; `watched`: places of those by watched sources, one at least. O(n log n)."""
        number = np.full(len(source), -1, np.int64)
        pairs, place = np.unique(np.stack((call[watched], source[watched])), axis=1, return_inverse=True)
        number[watched] = place.ravel()
        first = np.full(pairs.shape[1], np.iinfo(np.int32).max, np.int32)
        new = watched[is_new[watched]]
        np.minimum.at(first, number[new], minute[new])
        return cls(number, minute, first)

    def ends(self, some: I64, says: I8, said: Said | None) -> Ends:
        """Ends of minutes at which a source says another thing than before, from its first new statement on.

        Args:
            some: of the statements, by their places, ascending.
            says: of each statement.
            said: the same by voices, where they are to be kept apart.

        Returns:
            `call` is the number; `by` a statement of the source.
        """
        watched = some[self.number[some] >= 0]
        watched = watched[stable_order((self.number[watched],))]

        def follow(order: I64) -> tuple[I8, I64]:
            if said is not None:
                return opinions(said, order).success, order
            return says[newest_so_far(self.number[order], order)], order

        return ends(self.number, self.minute, watched, follow).from_minutes(self.first)
