"""Publishes a snapshot with the tables that are computed from counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aftercall.times import MINUTE_US
from connectors.batch import Warned
from connectors.snapshot.publish import Publication
from flows.dataflow.counted import CountedTables, FrozenCounts


def publish_counts(
    publication: Publication,
    pipeline: dict[str, Any],
    frozen: FrozenCounts,
    as_of: int,
    warn: Callable[[Publication, CountedTables], list[Warned]],
    *,
    live: bool,
) -> None:
    """Compute the tables as of a time in µs, and write the snapshot; `warn` finds warnings in what is published."""
    try:
        tables = frozen.tables(as_of, live=live)
        warnings = [*pipeline["warnings"], *warn(publication, tables)]
    except BaseException:
        publication.abandon()
        raise
    publication.write(pipeline | {"warnings": warnings}, *tables)


def minute_after(at_us: int) -> int:
    """The end of the minute of a time, us."""
    return (at_us // MINUTE_US + 1) * MINUTE_US
