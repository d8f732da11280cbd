"""Holds what the snapshot counts beside its rows: the rates of groups, of their segments, of sources and of tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from flows.dataflow.snapshot_messages import CellChanges, CheckChanges, DesignEffects, OpinionChanges, ToolChanges
from models.messages import AnyGroup
from models.rates import (
    CheckCells,
    FrozenChecks,
    FrozenRates,
    FrozenSegments,
    FrozenSources,
    FrozenTools,
    RateCells,
    RateTable,
    SegmentCells,
    SourceCells,
    ToolCells,
    tables_of_sources,
)


class CountedTables(NamedTuple):
    """Columns of the tables that are computed from counts."""

    rates: RateTable
    current_rates: RateTable
    of_sources: tuple[RateTable, RateTable]
    tool_rates: Mapping[str, Any]
    segment_rates: RateTable
    check_rates: Mapping[str, Any]


class FrozenCounts(NamedTuple):
    """The counts at one instant, for another thread."""

    rates: FrozenRates
    sources: FrozenSources
    tools: FrozenTools
    segments: FrozenSegments
    checks: FrozenChecks
    effects: Mapping[AnyGroup, float]
    """Design effects of groups and roll-ups; 1 of those without one."""

    def tables(self, as_of_us: int, *, live: bool) -> CountedTables:
        """Compute the tables as of a time in µs; see `FrozenRates.tables`."""
        rates, current_rates = self.rates.tables(as_of_us, live=live, effects=self.effects)
        of_sources = tables_of_sources(self.rates, self.sources, as_of_us, live=live, effects=self.effects)
        of_segments = self.segments.table(as_of_us, live=live, effects=self.effects)
        of_tools, of_checks = self.tools.table()._asdict(), self.checks.table(as_of_us)
        return CountedTables(rates, current_rates, of_sources, of_tools, of_segments, of_checks)


class Counted:
    """The counts themselves."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        """Without a `state`, nothing has been counted.

        Raises:
            StateError: The state has another version.
        """
        self._rates, self._sources, self._tools = RateCells(), SourceCells(), ToolCells()
        self._segments, self._effects = SegmentCells(), dict[AnyGroup, float]()
        self._checks = CheckCells()
        if state is not None:
            self._rates = RateCells.from_state(state["cells"])
            self._sources = SourceCells.from_state(state["source_cells"])
            self._tools = ToolCells.from_state(state["tools"])
            if "segment_cells" in state:  # a state of before there were any has none
                self._segments = SegmentCells.from_state(state["segment_cells"])
            if "check_cells" in state:  # likewise
                self._checks = CheckCells.from_state(state["check_cells"])
            self._effects = {tuple(group): effect for group, effect in state.get("design_effects", ())}

    def add(self, message: CellChanges | OpinionChanges | ToolChanges | CheckChanges | DesignEffects) -> None:
        """Add the differences of a message, or replace design effects."""
        match message:
            case CellChanges(names, cells, latencies, delays, segments):
                self._rates.apply(names, cells, latencies, delays)
                if segments:
                    self._segments.apply(names, segments, cells, latencies, delays)
            case OpinionChanges():
                self._sources.apply(*message)
            case ToolChanges(uses):
                self._tools.apply(uses)
            case CheckChanges():
                self._checks.apply(*message)
            case DesignEffects(effects):
                self._effects.update(effects)

    def advance(self, watermark: int, newest_call: int) -> None:
        """Drop what no later table needs; times in µs, or `NEVER`."""
        self._rates.advance(watermark, newest_call)
        self._sources.advance(watermark, newest_call)
        self._segments.advance(watermark, newest_call)

    def forget_hours(self, before_us: int) -> None:
        """Drop the hourly rates of the full days before a time."""
        for cells in (self._rates, self._sources, self._tools, self._segments, self._checks):
            cells.forget_hours(before_us)

    def frozen(self) -> FrozenCounts:
        """A consistent copy: memory is copied, nothing is computed."""
        cells = (self._rates.frozen(), self._sources.frozen(), self._tools.frozen(), self._segments.frozen())
        return FrozenCounts(*cells, self._checks.frozen(), dict(self._effects))

    def state(self) -> dict[str, Any]:
        """All of it as plain values and arrays, by keys of the sink's state; not a copy."""
        return {
            "cells": self._rates.state(),
            "source_cells": self._sources.state(),
            "tools": self._tools.state(),
            "segment_cells": self._segments.state(),
            "check_cells": self._checks.state(),
            "design_effects": sorted(self._effects.items(), key=_by_name),
        }


def _by_name(item: tuple[AnyGroup, float]) -> tuple[str, ...]:
    return tuple(part or "" for part in item[0])
