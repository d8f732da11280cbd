"""Count calls and verdicts per group and window; publish rates, intervals and delay-corrected rates."""

from __future__ import annotations

from models.rates.rate_cells import RateCells
from models.rates.source_cells import FrozenSources, SourceCells
from models.rates.source_tables import tables_of_sources
from models.rates.tables import FrozenRates, RateTable

__all__ = ["FrozenRates", "FrozenSources", "RateCells", "RateTable", "SourceCells", "tables_of_sources"]
