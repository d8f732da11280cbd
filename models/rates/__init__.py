"""Count calls and verdicts per group and window, and uses of tools; publish rates, intervals and corrected rates."""

from __future__ import annotations

from models.rates.check_cells import CheckCells, FrozenChecks
from models.rates.contract_uses import ContractUses
from models.rates.rate_cells import RateCells
from models.rates.segment_cells import FrozenSegments, SegmentCells
from models.rates.source_cells import FrozenSources, SourceCells
from models.rates.source_tables import tables_of_sources
from models.rates.tables import FrozenRates, RateTable
from models.rates.tool_cells import FrozenTools, Tool, ToolCells, ToolUses

__all__ = [
    "CheckCells",
    "ContractUses",
    "FrozenChecks",
    "FrozenRates",
    "FrozenSegments",
    "FrozenSources",
    "FrozenTools",
    "RateCells",
    "RateTable",
    "SegmentCells",
    "SourceCells",
    "Tool",
    "ToolCells",
    "ToolUses",
    "tables_of_sources",
]
