"""Says which two spans `insights` compares."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, cast

import duckdb

GRAIN: Final = timedelta(hours=1)
"""Of the finest rates in a snapshot."""
_NAMED: Final = {1: "1h", 24: "24h", 48: "48h", 168: "7d"}
"""Hours -> span of `current_rates`."""


_WITHOUT_SPANS: Final = """
    SELECT coalesce(max(window_start) + INTERVAL 1 HOUR, (SELECT max(watermark) FROM pipeline),
      (SELECT max(written_at) FROM pipeline)) FROM rates WHERE grain = '1h'
"""


class Spans(NamedTuple):
    """The baseline [before, start) and the lookback, up to `end`; aware, UTC.

    `named`: the span of `current_rates` that is the lookback, None where there is none. It begins at a full hour and
    ends with the snapshot; that of one hour has 60 minutes. Whatever is shown of the lookback is of its rows, so that
    counts, rates and corrected rates have one window.
    """

    before: datetime
    start: datetime
    end: datetime
    named: str | None


def spans_of(
    base: duckdb.DuckDBPyConnection, lookback: timedelta, baseline: timedelta, as_of: datetime | None
) -> Spans:
    """The spans up to `as_of`, rounded up to a full hour, or up to the end of the snapshot."""
    if as_of is None:
        end = _end_of_snapshot(base)
        start = _full_hour(end) - lookback
        return Spans(start - baseline, start, end, _NAMED.get(int(lookback / GRAIN)))
    end = as_of.replace(tzinfo=UTC) if as_of.tzinfo is None else as_of.astimezone(UTC)
    end = end if end == _full_hour(end) else _full_hour(end) + GRAIN
    return Spans(end - lookback - baseline, end - lookback, end, None)


def _end_of_snapshot(base: duckdb.DuckDBPyConnection) -> datetime:
    """The end of the spans of `current_rates`; of a snapshot without a call, the watermark."""
    (end,) = base.execute("SELECT max(as_of) FROM current_rates").fetchall()[0]
    if end is None:  # only then, as it reads all hours
        (end,) = base.execute(_WITHOUT_SPANS).fetchall()[0]
    return cast("datetime", end).replace(tzinfo=UTC)


def _full_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)
