"""The cells of rates as if they were a step of their own, so that the laws of steps are tried on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from bytewax.operators import StatefulBatchLogic

from aftercall.times import MINUTE_US, NEVER
from flows.dataflow.snapshot_messages import CellChanges, OpinionChanges
from flows.dataflow.stored_state import Keeping, Loaded, StoredState, Tracked
from models.rates import RateCells, SourceCells, tables_of_sources

RATES_VERSION: Final = 1


class RatesLogic(StatefulBatchLogic[Any, Any, bytes]):
    """The rate cells; in the dataflow they live in the snapshot sink, as a part of its state."""

    def __init__(self, keeping: Keeping, stored: bytes | None) -> None:
        loaded, state = None, None
        if stored is not None:
            loaded = Loaded(keeping, "rates", stored, "rates")
            state = loaded.state(Tracked.merge)
            state = loaded.migrated(state, RATES_VERSION, {})
        self._cells = RateCells() if state is None else RateCells.from_state(state["rates"])
        self._sources = SourceCells() if state is None else SourceCells.from_state(state["sources"])
        source = Tracked(lambda: {"rates": self._cells.state(), "sources": self._sources.state()})
        self._kept = StoredState(keeping, "rates", RATES_VERSION, source, loaded)
        self._kept.key = "rates"

    def on_batch(self, values: list[Any]) -> tuple[Iterable[Any], bool]:
        """Results are the four tables of rates at each clock."""
        tables: list[Any] = []
        for message in values:
            if isinstance(message, CellChanges):
                self._cells.apply(*message[:4])
            elif isinstance(message, OpinionChanges):
                self._sources.apply(*message)
            elif message.watermark != NEVER:
                for cells in (self._cells, self._sources):
                    cells.advance(message.watermark, message.newest_call)
                as_of = message.watermark // MINUTE_US * MINUTE_US
                tables.append(self._cells.tables(as_of, live=True))
                tables.append(tables_of_sources(self._cells.frozen(), self._sources.frozen(), as_of, live=True))
        return tables + self._kept.due(), StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """The cells alone."""
        return self._kept.stored()


def cells_by_key(state: dict[str, Any]) -> Any:
    """The tables of all cells as dictionaries; those of sources by name, as their numbers go by who came first."""
    sources = _by_key(state["sources"])
    pairs = [tuple(pair) for pair in sources.pop("pairs")]
    for name, bits in (
        ("minutes", 7),
        ("hours", 7),
        ("delay_days", 7),
        ("delays_gone", 7),
        ("hour_counts", 0),
        ("day_counts", 0),
    ):
        cells = sources[name].items()
        # Cells of which all was taken back may or may not be there: it depends on when.
        sources[name] = {
            (pairs[key >> 30 + bits], key & (1 << 30 + bits) - 1): cell for key, cell in cells if any(cell)
        }
    return {"rates": _by_key(state["rates"]), "sources": sources}


def _by_key(state: dict[str, Any]) -> Any:
    """The tables of cells as dictionaries."""
    found = {}
    for name, value in state.items():
        if name not in {"names", "history", "pairs"} and isinstance(value, tuple):
            keys, columns = value
            cells = zip(*(column.tolist() for column in columns), strict=True)
            found[name] = dict(zip(keys.tolist(), cells, strict=True))
        else:
            found[name] = value
    return found
