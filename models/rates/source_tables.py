"""Compute the tables `source_rates` and `source_current_rates` of the snapshot from sums.

As `tables.py` does for verdicts, with the source's own delays, drawn to those of the source in the task type. A window
has all calls of its group, since each may still be spoken of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from aftercall.times import DAY_US, HOUR_US, HOURS_PER_DAY, MINUTE_US, MINUTES_PER_HOUR
from models.columns.keyed_sums import Sums, unpack_key
from models.rates.effects import NO_EFFECTS, Effects, of_groups, of_windows
from models.rates.exposure import Exposure, exposure
from models.rates.tables import SPANS, RateTable, delay_side
from models.stats import delay_distribution as delay
from models.stats.delay_correction import DelayHistory, Expected, correct, expected, shrunken, with_final
from models.stats.intervals import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.arrays import I64
    from models.rates.source_cells import FrozenSources
    from models.rates.tables import FrozenRates

_PAIRS_AT_ONCE: Final = 2048
_WINDOWS_AT_ONCE: Final = 1 << 18
"""A year of hourly rates of many sources at once would fill the memory."""
_ANCIENT_US: Final = 2**62
_GRAINS: Final = ("1h", "1d")


class _Rows(NamedTuple):
    """What is counted in windows, shape (n,). `label` indexes `_GRAINS` and the spans after them; times in minutes."""

    rank: I64
    label: I64
    start: I64
    end: I64
    successes: I64
    failures: I64


class _Cohorts(NamedTuple):
    """Delays of calls of one age, shape (n,), by rank."""

    rank: I64
    success: I64
    bucket: I64
    age_us: I64
    count: I64  # type: ignore[assignment]  # a column, not the method of tuples


def tables_of_sources(
    rates: FrozenRates, sources: FrozenSources, as_of_us: int, *, live: bool, effects: Effects = NO_EFFECTS
) -> tuple[RateTable, RateTable]:
    """The columns of `source_rates` and of `source_current_rates`, sorted by group, source and window.

    Args:
        rates: The cells of the same groups, of the same moment.
        sources: Opinions.
        as_of_us: As for `FrozenRates.tables`.
        live: Likewise.
        effects: Likewise: those of verdicts, as if the source spoke of whole conversations.

    Returns:
        Equal arrays for equal sums; nan is NULL, times are µs. Rows are windows in which the source says something.
    """
    known_until = as_of_us if live else max(as_of_us, rates.watermark)
    return _SourceTables(exposure(rates, as_of_us, known_until), sources, as_of_us, known_until, effects).build()


class _SourceTables:
    """One computation of both tables. Pairs are ranked by task type and source, so that those of one parent adjoin."""

    def __init__(self, calls: Exposure, sources: FrozenSources, as_of: int, known: int, effects: Effects) -> None:
        self._calls, self._as_of, self._known, self._hour_floor = calls, as_of, known, sources.hour_floor
        order = sorted(range(len(sources.pairs)), key=lambda i: (*_parent(sources.pairs[i]), sources.pairs[i][0]))
        self._pairs = [sources.pairs[i] for i in order]
        self._effect = of_groups(effects, [group for group, _ in self._pairs])
        self._rank = np.zeros(len(order), np.int64)
        self._rank[order] = np.arange(len(order))
        self._place = np.array([calls.place.get(group, -1) for group, _ in self._pairs], np.int64)
        parents: dict[tuple[str, str], int] = {}
        self._parent = np.array([parents.setdefault(_parent(pair), len(parents)) for pair in self._pairs], np.int64)
        self._rows = self._counted(sources)
        self._cohorts = self._delays(sources)

    def build(self) -> tuple[RateTable, RateTable]:
        rows, parts = self._rows, []
        first = 0
        while first < len(self._pairs):
            last = self._end_of_part(first)
            low, high = np.searchsorted(rows.rank, (first, last))
            parts.append(self._measured(_Rows(*(column[low:high] for column in rows)), first, last))
            first = last
        columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else _NO_ROWS
        return self._published(columns)

    def _end_of_part(self, first: int) -> int:
        """Some thousand pairs, and never a parent without all of its children."""
        last = min(first + _PAIRS_AT_ONCE, len(self._pairs)) - 1
        return int(np.searchsorted(self._parent, self._parent[last], side="right"))

    def _cells(self, sums: Sums) -> tuple[I64, I64, I64, I64, I64]:
        """Rank, window, success and bucket of cells of delays, and how many there are."""
        pair, window, low = unpack_key(sums.keys, delay.DELAY_KEY_BITS)
        return self._rank[pair], window, *delay_side(low), sums.columns[0].astype(np.int64)

    def _counted(self, sources: FrozenSources) -> _Rows:
        """All rows of both tables, by rank."""
        minutes, hours = _by_window(*self._cells(sources.sums.minutes)), self._hours(sources)
        in_hours = _summed(
            np.concatenate((hours[0], minutes[0])),
            np.concatenate((hours[1], minutes[1] // MINUTES_PER_HOUR)),
            *(np.concatenate(pair) for pair in zip(hours[2:], minutes[2:], strict=True)),
        )
        days = self._counts(sources.sums.day_counts)
        in_days = _summed(
            np.concatenate((in_hours[0], days[0])),
            np.concatenate((in_hours[1] // HOURS_PER_DAY, days[1])),
            *(np.concatenate(pair) for pair in zip(in_hours[2:], days[2:], strict=True)),
        )
        kept = in_hours[1] >= self._hour_floor
        parts = [
            _windows(0, MINUTES_PER_HOUR, *(column[kept] for column in in_hours)),
            _windows(1, MINUTES_PER_HOUR * HOURS_PER_DAY, *in_days),
            *(self._span(label, length, minutes, hours) for label, length in enumerate(SPANS.values(), len(_GRAINS))),
        ]
        rows = _Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        chosen = np.flatnonzero(rows.successes + rows.failures > 0)
        order = chosen[np.lexsort((rows.start[chosen], rows.label[chosen], rows.rank[chosen]))]
        return _Rows(*(column[order] for column in rows))

    def _counts(self, sums: Sums) -> tuple[I64, I64, I64, I64]:
        pair, window, _ = unpack_key(sums.keys)
        successes, failures = (column.astype(np.int64) for column in sums.columns)
        return self._rank[pair], window, successes, failures

    def _hours(self, sources: FrozenSources) -> tuple[I64, I64, I64, I64]:
        """Rank, hour, successes and failures of all calls but those counted by minute or day."""
        young = _by_window(*self._cells(sources.sums.hours))
        old = self._counts(sources.sums.hour_counts)
        rank, hour, good, bad = (np.concatenate(pair) for pair in zip(young, old, strict=True))
        return rank, hour, good, bad

    def _span(self, label: int, length: int, minutes: tuple[I64, ...], hours: tuple[I64, ...]) -> _Rows:
        """The last hours before as_of; spans over one hour start at a full hour, as in `tables.py`."""
        end, end_hour = self._as_of // MINUTE_US, self._as_of // HOUR_US
        start = end - MINUTES_PER_HOUR if length == 1 else (end_hour - length) * MINUTES_PER_HOUR
        totals = np.zeros((2, len(self._pairs)), np.int64)
        for (rank, window, *counts), width, stop in ((minutes, 1, end), (hours, MINUTES_PER_HOUR, end_hour)):
            within = (window * width >= start) & (window < stop)
            if width > 1:
                within &= window >= self._hour_floor
            for total, count in zip(totals, counts, strict=True):
                np.add.at(total, rank[within], count[within])
        rank = np.arange(len(self._pairs))
        same = np.ones(len(rank), np.int64)
        return _Rows(rank, label * same, start * same, end * same, *totals)

    def _delays(self, sources: FrozenSources) -> _Cohorts:
        sums, parts = sources.sums, []
        for table, age in (
            (sums.minutes, lambda minute: self._cohort_age(minute // MINUTES_PER_HOUR)),
            (sums.hours, self._cohort_age),
            (sums.delay_days, lambda day: self._cohort_age(day * HOURS_PER_DAY)),
            (sums.delays_gone, lambda window: np.full(len(window), _ANCIENT_US)),
        ):
            rank, window, success, bucket, count = self._cells(table)
            parts.append((rank, success, bucket, age(window), count))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        order = np.argsort(columns[0], kind="stable")
        return _Cohorts(*(column[order] for column in columns))

    def _cohort_age(self, hour: I64) -> I64:
        """As in `tables.py`: of the youngest call of an hour's cohort, or of its day's where that has settled."""
        of_day = self._known - (hour // HOURS_PER_DAY + 1) * DAY_US
        return np.where(of_day >= delay.HISTORY_US, of_day, self._known - (hour + 1) * HOUR_US)

    def _history(self, first: int, last: int) -> DelayHistory:
        """Of the pairs of some ranks, all those of their parents among them."""
        low, high = np.searchsorted(self._cohorts.rank, (first, last))
        rank, success, bucket, age, count = (column[low:high] for column in self._cohorts)
        within = np.zeros((last - first, 2, delay.DELAY_BUCKETS), np.int64)
        gone = np.zeros_like(within)
        outgrown = delay.outgrown(age)
        old = bucket <= outgrown
        at = (rank[old] - first, success[old])
        np.add.at(within, (*at, bucket[old]), count[old])
        np.add.at(gone, (*at, outgrown[old] + 1), count[old])
        through = np.cumsum(within - gone, axis=-1)
        return shrunken(within, through, self._parent[first:last] - self._parent[first])

    def _measured(self, rows: _Rows, first: int, last: int) -> dict[str, NDArray[Any]]:
        """Rates and intervals of rows of some ranks."""
        history = self._history(first, last)
        calls, verdicts = self._expected(history, rows, first)
        good, bad = rows.successes, rows.failures
        resolved = good + bad
        effect = of_windows(self._effect[rows.rank], resolved)
        low, high = wilson(good / effect, resolved / effect)
        rate = good / resolved
        weight = (history.weight[0][rows.rank - first], history.weight[1][rows.rank - first])
        corrected = correct(good, bad, calls, verdicts, weight, effect=effect)
        is_in = (resolved == calls) | ((verdicts.successes == calls) & (verdicts.failures == calls))
        corrected = with_final(corrected, is_in, rate, low, high)
        return {
            **rows._asdict(),
            "resolved": resolved,
            "rate": rate,
            "rate_low": low,
            "rate_high": high,
            "corrected_rate": corrected.rate,
            "corrected_low": corrected.low,
            "corrected_high": corrected.high,
            "maturity": corrected.maturity,
        }

    def _expected(self, history: DelayHistory, rows: _Rows, first: int) -> tuple[I64, Expected]:
        """Calls of the group in the windows of rows, and how many opinions they are expected to have by their age."""
        low, high = self._calls.between(self._place[rows.rank], rows.start, rows.end)
        calls, sums = np.zeros(len(low), np.int64), np.zeros((4, len(low)))
        ends = np.cumsum(high - low)
        start = 0
        while start < len(low):
            before = ends[start - 1] if start else 0
            stop = max(int(np.searchsorted(ends, before + _WINDOWS_AT_ONCE, side="right")), start + 1)
            lengths = (high - low)[start:stop]
            row = np.repeat(np.arange(start, stop), lengths)
            window = (
                np.arange(len(row))
                - np.repeat(np.cumsum(lengths) - lengths, lengths)
                + np.repeat(low[start:stop], lengths)
            )
            number = self._calls.calls[window]
            np.add.at(calls, row, number)
            for side, values in zip(
                sums, expected(history, rows.rank[row] - first, number, self._calls.age_us[window]), strict=True
            ):
                np.add.at(side, row, values)
            start = stop
        return np.maximum(calls, rows.successes + rows.failures), Expected(*sums)

    def _published(self, columns: dict[str, NDArray[Any]]) -> tuple[RateTable, RateTable]:
        by_name = sorted(range(len(self._pairs)), key=self._pairs.__getitem__)
        place = np.zeros(len(by_name), np.int64)
        place[by_name] = np.arange(len(by_name))
        order = np.lexsort((columns["start"], columns["label"], place[columns["rank"]]))
        sorted_ = {name: column[order] for name, column in columns.items()}
        is_grain = sorted_["label"] < len(_GRAINS)
        rates = self._table(sorted_, is_grain, "grain", "window_start", sorted_["start"] * MINUTE_US)
        as_of = np.full(len(order), self._as_of, np.int64)
        return rates, self._table(sorted_, ~is_grain, "span", "as_of", as_of)

    def _table(
        self, columns: dict[str, NDArray[Any]], chosen: NDArray[np.bool_], label: str, time: str, times: I64
    ) -> RateTable:
        rank = columns["rank"][chosen]
        names = {
            name: _texts([(*group, source)[i] for group, source in self._pairs])[rank]
            for i, name in enumerate(("task_type", "model", "config", "source"))
        }
        labels = {label: _texts([*_GRAINS, *SPANS])[columns["label"][chosen]]}
        measures = {name: columns[name][chosen] for name in _MEASURES}
        return {**names, **labels, time: times[chosen], **measures}


_MEASURES: Final = (
    "resolved",
    "successes",
    "failures",
    "rate",
    "rate_low",
    "rate_high",
    "corrected_rate",
    "corrected_low",
    "corrected_high",
    "maturity",
)
_NO_ROWS: Final = {name: np.zeros(0, np.int64) for name in (*_Rows._fields, *_MEASURES)}


def _parent(pair: tuple[tuple[str, str, str], str]) -> tuple[str, str]:
    """The task type and the source."""
    return pair[0][0], pair[1]


def _by_window(rank: I64, window: I64, success: I64, bucket: I64, count: I64) -> tuple[I64, I64, I64, I64]:
    """Cells of delays as counts: rank, window, successes, failures; not yet summed."""
    del bucket
    return rank, window, count * success, count * (1 - success)


def _summed(rank: I64, window: I64, successes: I64, failures: I64) -> tuple[I64, I64, I64, I64]:
    """The same with each (rank, window) once."""
    if not len(rank):
        return rank, window, successes, failures
    order = np.lexsort((window, rank))
    rank, window = rank[order], window[order]
    first = np.flatnonzero(np.concatenate(([True], (rank[1:] != rank[:-1]) | (window[1:] != window[:-1]))))
    return rank[first], window[first], np.add.reduceat(successes[order], first), np.add.reduceat(failures[order], first)


def _windows(label: int, width: int, rank: I64, window: I64, successes: I64, failures: I64) -> _Rows:
    same = np.full(len(rank), label, np.int64)
    return _Rows(rank, same, window * width, (window + 1) * width, successes, failures)


def _texts(values: list[str]) -> NDArray[Any]:
    texts = np.empty(len(values), object)
    texts[:] = values
    return texts
