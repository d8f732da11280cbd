"""A pool whose rows have an identifier each, beside their columns."""

from __future__ import annotations

from typing import Any, ClassVar

from models.arrays import I32
from models.columns.id_column import IdColumn
from models.columns.row_pool import RowPool
from models.columns.struct_of_arrays import Columns


class IdPool(RowPool[Columns]):
    """A row pool with `ids`, by row; a row that was never set, or given back, has none.

    >>> from typing import NamedTuple
    >>> import numpy as np
    >>> class Visits(NamedTuple):
    ...     count_of: I32
    >>> pool = IdPool(Visits(np.zeros(1, np.int32)))
    >>> rows = pool.take_rows(2)
    >>> pool.ids.put(rows, ["a", "b"])
    >>> restored = IdPool(Visits(np.zeros(1, np.int32)))
    >>> restored.put_state(restored.take_rows(2), pool.state_of(rows))
    >>> restored.ids.texts(rows)
    ['a', 'b']
    """

    UNSTORED: ClassVar[frozenset[str]] = frozenset()
    """Columns that are no part of the state, as they follow from the rest of it."""

    def __init__(self, columns: Columns) -> None:
        """`columns` as in `RowPool`; a named tuple, whose names are those of the state, without `ids`."""
        self.ids = IdColumn()
        self._kind: Any = type(columns)
        super().__init__(columns)

    def give_back(self, rows: I32) -> None:
        """Free rows that are used no longer."""
        self.ids.drop(rows)
        super().give_back(rows)

    def state_of(self, rows: I32) -> dict[str, Any]:
        """Copies of all columns at `rows` but those that are not stored, and the ids."""
        columns: Any = self.copied(rows)
        kept = {name: column for name, column in columns._asdict().items() if name not in self.UNSTORED}
        return {**kept, "ids": self.ids.state_of(rows)}

    def put_state(self, rows: I32, state: dict[str, Any]) -> None:
        """Fill `rows`, which have no ids, from `state_of`; columns that are not in it as in a fresh row."""
        blank: Any = self._blank
        self.put(rows, self._kind(*(state.get(name, fresh) for name, fresh in blank._asdict().items())))
        self.ids.put_state(rows, state["ids"])

    def _bind(self, columns: Columns) -> None:
        self.ids.resize(len(columns[0]))
