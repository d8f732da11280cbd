"""Count calls and verdicts per group and window; publish rates, intervals and delay-corrected rates. Count uses of tools."""

from __future__ import annotations

from models.rates.rate_cells import RateCells
from models.rates.tables import FrozenRates, RateTable
from models.rates.tool_cells import FrozenTools, Tool, ToolCells, ToolRates, ToolUses

__all__ = ["FrozenRates", "FrozenTools", "RateCells", "RateTable", "Tool", "ToolCells", "ToolRates", "ToolUses"]
