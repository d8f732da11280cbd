"""Compute the tables `rates` and `current_rates` of the snapshot from sums."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

import numpy as np

from aftercall.times import DAY_US, HOUR_US, MINUTE_US
from models.columns.keyed_sums import Sums, pack_key, unpack_key
from models.rates.effects import NO_EFFECTS, Effects, of_groups, of_tasks, of_windows
from models.rates.power import power_columns
from models.stats import delay_distribution as delay
from models.stats import quantile_sketch as sketch
from models.stats.delay_correction import DelayHistory, Expected, correct, expected, shrunken, with_final
from models.stats.intervals import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.arrays import F64, I64, Bools
RateTable = dict[str, "NDArray[Any]"]
"""A table of the snapshot by column."""

RateName = tuple[str, ...]
"""(task_type, model, config), and of the rates of segments the segment."""
Table = TypeVar("Table")

SPANS: Final = {"1h": 1, "24h": 24, "48h": 48, "7d": 168}
"""Span of `current_rates` -> hours."""
_NANO: Final = 1e-9


class _Cells(NamedTuple):
    """Cells in the order (group by name, window); `key` = pack_key(rank, window)."""

    key: NDArray[np.uint64]
    rank: I64
    window: I64
    counts: I64
    """Shape (5, n): calls, successes, failures, expired, cost_nano."""
    expected: F64
    """Shape (4, n): the fields of `correction.Expected`."""

    def where(self, mask: Bools) -> _Cells:
        return _Cells(self.key[mask], self.rank[mask], self.window[mask], self.counts[:, mask], self.expected[:, mask])


class _Latency(NamedTuple):
    """Latency counts in the order (group by name, window, bucket)."""

    rank: I64
    window: I64
    bucket: I64
    number: I64

    def where(self, mask: Bools) -> _Latency:
        return _Latency(*(column[mask] for column in self))


class RateSums(NamedTuple, Generic[Table]):
    """The sums behind the rates, as growing tables or as plain arrays; the names are keys of the stored state."""

    minutes: Table
    """Calls, successes, failures, expired and cost per group and minute."""
    hours: Table
    days: Table
    latency_minutes: Table
    """Calls per group, minute and bucket of models.stats.quantile_sketch."""
    latency_hours: Table
    latency_days: Table
    delays: Table
    """By hour of the call, success and bucket of models.stats.delay_distribution: calls of the last days."""
    delay_days: Table
    """The same by day (UTC): older ones, until no bucket distinguishes their ages."""


class FrozenRates(NamedTuple):
    """The sums of a `RateCells` at one instant. The keys' group part indexes `names`."""

    names: list[RateName]
    sums: RateSums[Sums]
    history: I64
    """Delays of the oldest calls, whose time is not kept: shape (groups, 2, 41)."""
    watermark: int
    minute_floor: int

    def rates(self, as_of_us: int, *, live: bool, effects: Effects = NO_EFFECTS) -> RateTable:
        """The columns of `rates` alone, as of `tables`."""
        return self._tables(as_of_us, effects, live=live).rates()

    def tables(self, as_of_us: int, *, live: bool, effects: Effects = NO_EFFECTS) -> tuple[RateTable, RateTable]:
        """The columns of `rates` and of `current_rates`, sorted by group and window; nan is NULL, times are µs.

        Args:
            as_of_us: Where the spans of `current_rates` end, a full minute. Not before the minute of
                min(watermark, newest call + 1 min) last given to `RateCells.advance`: older minutes are gone.
            live: Verdicts are known up to `as_of_us`; else (the end of a replay) up to the watermark, if that is later.
            effects: Design effects, which widen intervals.

        Returns:
            Equal arrays for equal sums, to the last bit, however the sums came about.
        """
        return self._tables(as_of_us, effects, live=live).build()

    def _tables(self, as_of_us: int, effects: Effects, *, live: bool) -> _Tables:
        return _Tables(self, as_of_us, as_of_us if live else max(as_of_us, self.watermark), effects)


class _Tables:
    """One computation of both tables."""

    def __init__(self, frozen: FrozenRates, as_of_us: int, known_until: int, effects: Effects) -> None:
        self._as_of, self._known = as_of_us, known_until
        order = sorted(range(len(frozen.names)), key=frozen.names.__getitem__)
        self._names = [frozen.names[gid] for gid in order]
        self._effect, self._task_effect = of_groups(effects, self._names), of_tasks(effects, self._names)
        self._rank = np.empty(len(order), np.int64)
        self._rank[order] = np.arange(len(order))
        self._history = self._delay_history(frozen, np.array(order, np.int64))
        sums = frozen.sums
        self._minutes = self._with_ages(self._sorted(sums.minutes), MINUTE_US)
        self._hours = self._with_minutes(self._with_ages(self._sorted(sums.hours), HOUR_US), frozen.minute_floor // 60)
        self._folded = self._with_ages(self._sorted(sums.days), DAY_US)
        self._latency_minutes = self._latency(sums.latency_minutes)
        self._latency_hours = self._latency(sums.latency_hours)
        self._latency_folded = self._latency(sums.latency_days)

    def build(self) -> tuple[RateTable, RateTable]:
        days = self._days()
        rates = self._rates(days)
        spans = [(span, 0, self._span(hours)) for span, hours in SPANS.items()]
        current = _stack(spans, "span", None)
        current["as_of"] = np.full(len(current["rank"]), self._as_of, np.int64)
        current |= {name: of_group[current["rank"]] for name, of_group in self._power(days, spans[-1][2]).items()}
        return self._named(rates), self._named(current)

    def rates(self) -> RateTable:
        return self._named(self._rates(self._days()))

    def _rates(self, days: _Cells) -> RateTable:
        hourly = self._columns(self._hours, self._latency_hours)
        daily = self._columns(days, self._latency_days())
        return _stack([("1h", HOUR_US, hourly), ("1d", DAY_US, daily)], "grain", "window_start")

    def _delay_history(self, frozen: FrozenRates, order: I64) -> DelayHistory:
        within, gone = frozen.history.copy(), np.zeros_like(frozen.history)
        # A cohort counts for the buckets it has outgrown: it enters C at its verdict's and leaves after the last.
        for sums, hours in ((frozen.sums.delays, 1), (frozen.sums.delay_days, 24)):
            group, window, low = unpack_key(sums.keys, delay.DELAY_KEY_BITS)
            last = delay.outgrown(self._cohort_age(window * hours))
            success, bucket = delay_side(low)
            old = bucket <= last
            count = sums.columns[0][old]
            np.add.at(within, (group[old], success[old], bucket[old]), count)
            np.add.at(gone, (group[old], success[old], last[old] + 1), count)
        through = np.cumsum(within - gone, axis=-1)
        tasks = {task: i for i, task in enumerate(dict.fromkeys(name[0] for name in self._names))}
        task = np.array([tasks[name[0]] for name in self._names], np.int64)
        return shrunken(within[order], through[order], task)

    def _cohort_age(self, hour: I64) -> I64:
        """Age of the youngest call of an hour's cohort, or of its day's where that has settled; by now alone."""
        of_day = self._known - (hour // 24 + 1) * DAY_US
        return np.where(of_day >= delay.HISTORY_US, of_day, self._known - (hour + 1) * HOUR_US)

    def _sorted(self, sums: Sums) -> _Cells:
        group, window, _ = unpack_key(sums.keys)
        rank = self._rank[group]
        key = pack_key(rank, window)
        order = np.argsort(key)
        counts = np.array([column[order] for column in sums.columns], np.int64)
        cells = _Cells(key[order], rank[order], window[order], counts, np.zeros((4, len(order))))
        # A window without a call has no rate, and divides by zero.
        return cells.where(counts[0] > 0)

    def _with_ages(self, cells: _Cells, width_us: int) -> _Cells:
        """Expected verdicts, all calls of a cell taken to lie in the middle of what has passed of it."""
        start = cells.window * width_us
        age = self._known - (start + np.minimum(start + width_us, np.maximum(self._known, start))) // 2
        return cells._replace(expected=np.array(expected(self._history, cells.rank, cells.counts[0], age)))

    def _with_minutes(self, hours: _Cells, first_kept_hour: int) -> _Cells:
        """The newest two hours from their minutes: at their age the middle of the hour is too coarse.

        Hours of a state of before may have been folded into days while their minutes are there.
        """
        detail = max(self._as_of // HOUR_US - 1, first_kept_hour)
        young = self._minutes.where(self._minutes.window >= detail * 60)
        key = pack_key(young.rank, young.window // 60)
        there = np.isin(key, hours.key)
        young, row = young.where(there), np.searchsorted(hours.key, key[there])
        exact = hours.expected.copy()
        exact[:, hours.window >= detail] = 0.0
        for side in range(4):
            np.add.at(exact[side], row, young.expected[side])
        return hours._replace(expected=exact)

    def _days(self) -> _Cells:
        """Sums of the hours, and the days whose hours were folded away."""
        hours = self._hours
        key = pack_key(hours.rank, hours.window // 24)
        first = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1]))) if len(key) else np.zeros(0, np.int64)
        derived = _Cells(
            key[first],
            hours.rank[first],
            hours.window[first] // 24,
            _reduce(hours.counts, first),
            _reduce(hours.expected, first),
        )
        if not len(self._folded.key):
            return derived
        both = [np.concatenate(pair, axis=-1) for pair in zip(derived, self._folded, strict=True)]
        order = np.argsort(both[0])
        return _Cells(*(column[..., order] for column in both))

    def _latency_days(self) -> _Latency:
        hours, folded = self._latency_hours, self._latency_folded
        key = pack_key(
            np.concatenate((hours.rank, folded.rank)),
            np.concatenate((hours.window // 24, folded.window)),
            np.concatenate((hours.bucket, folded.bucket)),
            sketch.VALUE_KEY_BITS,
        )
        distinct, inverse = np.unique(key, return_inverse=True)
        count = np.zeros(len(distinct), np.int64)
        np.add.at(count, inverse, np.concatenate((hours.number, folded.number)))
        return _Latency(*unpack_key(distinct, sketch.VALUE_KEY_BITS), count)

    def _latency(self, sums: Sums) -> _Latency:
        group, window, bucket = unpack_key(sums.keys, sketch.VALUE_KEY_BITS)
        rank = self._rank[group]
        order = np.argsort(pack_key(rank, window, bucket, sketch.VALUE_KEY_BITS))
        return _Latency(rank[order], window[order], bucket[order], sums.columns[0][order].astype(np.int64))

    def _span(self, hours: int) -> RateTable:
        """All groups over the last `hours` before as_of; spans over one hour start at a full hour."""
        end_minute, end_hour = self._as_of // MINUTE_US, self._as_of // HOUR_US
        if hours == 1:
            start_hour, first_minute = end_hour, end_minute - 60
        else:
            start_hour, first_minute = end_hour - hours, end_hour * 60
        pieces: list[_Cells] = []
        latency: list[_Latency] = []
        for cells, lat, low, high in (
            (self._hours, self._latency_hours, start_hour, end_hour),
            (self._minutes, self._latency_minutes, first_minute, end_minute),
        ):
            pieces.append(cells.where((cells.window >= low) & (cells.window < high)))
            latency.append(lat.where((lat.window >= low) & (lat.window < high)))
        counts = np.zeros((5, len(self._names)), np.int64)
        expected_verdicts = np.zeros((4, len(self._names)))
        for piece in pieces:
            for sums, values in ((counts, piece.counts), (expected_verdicts, piece.expected)):
                for total, value in zip(sums, values, strict=True):
                    np.add.at(total, piece.rank, value)
        rank = np.arange(len(self._names))
        window = np.zeros(len(rank), np.int64)
        cells = _Cells(pack_key(rank, window), rank, window, counts, expected_verdicts).where(counts[0] > 0)
        return self._columns(cells, _merged(latency))

    def _power(self, days: _Cells, week: RateTable) -> RateTable:
        """How soon a drop would be noticed, by group: of all its outcomes, and of the traffic of the last week.

        With the design effects, which are of groups as well.
        """
        good, bad, recent = np.zeros((3, len(self._names)), np.int64)
        np.add.at(good, days.rank, days.counts[1])
        np.add.at(bad, days.rank, days.counts[2])
        recent[week["rank"]] = week["resolved"]
        first = np.full(len(self._names), self._as_of // DAY_US)
        np.minimum.at(first, days.rank, days.window)
        effects = {"design_effect": self._effect, "task_design_effect": self._task_effect}
        return power_columns(good, bad, recent, self._as_of - first * DAY_US, self._effect) | effects

    def _columns(self, cells: _Cells, latency: _Latency) -> RateTable:
        calls, successes, failures, expired, cost = cells.counts
        resolved = successes + failures
        effect = of_windows(self._effect[cells.rank], resolved)
        low, high = wilson(successes / effect, resolved / effect)
        weight = (self._history.weight[0][cells.rank], self._history.weight[1][cells.rank])
        rate = np.where(resolved > 0, successes / np.maximum(resolved, 1), np.nan)
        corrected = correct(successes, failures, calls, Expected(*cells.expected), weight, effect=effect)
        # Of what never was answered it is not known when it will be, whatever its siblings take.
        unheard = (self._history.own[cells.rank] == 0) & (resolved == 0) & (expired < calls)
        corrected = corrected._replace(maturity=np.where(unheard, np.nan, corrected.maturity))
        corrected = with_final(corrected, calls - resolved - expired == 0, rate, low, high)
        middle, tail = _percentiles(cells, latency)
        return {
            "rank": cells.rank,
            "window": cells.window,
            "calls": calls,
            "resolved": resolved,
            "successes": successes,
            "failures": failures,
            "expired": expired,
            "pending": calls - resolved - expired,
            "rate": rate,
            "rate_low": low,
            "rate_high": high,
            "corrected_rate": corrected.rate,
            "corrected_low": corrected.low,
            "corrected_high": corrected.high,
            "maturity": corrected.maturity,
            "latency_p50_ms": middle,
            "latency_p95_ms": tail,
            "cost_usd": cost * _NANO,
        }

    def _named(self, columns: RateTable) -> RateTable:
        """Names in front, in place of ranks."""
        rank = columns.pop("rank")
        out: RateTable = {}
        fields = ("task_type", "model", "config", "segment")
        for i, field in enumerate(fields[: len(self._names[0]) if self._names else 3]):
            text = np.empty(len(self._names), object)
            text[:] = [name[i] for name in self._names]
            out[field] = text[rank]
        return {**out, **columns}


def delay_low(success: NDArray[np.integer], bucket: NDArray[np.integer]) -> I64:
    """The low part of a delay cell's key, in 0 .. 81."""
    return bucket.astype(np.int64) * 2 + success


def delay_side(low: I64) -> tuple[I64, I64]:
    """Success and bucket of a `delay_low`."""
    return low & 1, low >> 1


def _percentiles(cells: _Cells, latency: _Latency) -> tuple[F64, F64]:
    out = np.full((2, len(cells.key)), np.nan)
    key = pack_key(latency.rank, latency.window)
    row = np.searchsorted(cells.key, key)
    known = row < len(cells.key)
    known[known] = cells.key[row[known]] == key[known]
    held, values = sketch.quantiles(row[known], latency.bucket[known], latency.number[known], (0.5, 0.95))
    out[:, held] = values
    return out[0], out[1]


def _merged(pieces: list[_Latency]) -> _Latency:
    """All windows of the pieces as one, window 0."""
    rank, bucket, count = (np.concatenate([getattr(p, name) for p in pieces]) for name in ("rank", "bucket", "number"))
    key, inverse = np.unique(pack_key(rank, np.zeros_like(rank), bucket, sketch.VALUE_KEY_BITS), return_inverse=True)
    total = np.zeros(len(key), np.int64)
    np.add.at(total, inverse, count)
    return _Latency(*unpack_key(key, sketch.VALUE_KEY_BITS), total)


def _reduce(values: NDArray[Any], first: I64) -> NDArray[Any]:
    """Sums of the runs that start at `first`, along the last axis."""
    return np.add.reduceat(values, first, axis=-1) if len(first) else values[:, :0]


def _stack(parts: list[tuple[str, int, RateTable]], label: str, start: str | None) -> RateTable:
    """Tables below each other, with a label column and the window's start, sorted by group, label and window."""
    order = np.lexsort(
        (
            np.concatenate([columns["window"] for _, _, columns in parts]),
            np.concatenate([np.full(len(columns["rank"]), i) for i, (_, _, columns) in enumerate(parts)]),
            np.concatenate([columns["rank"] for _, _, columns in parts]),
        )
    )
    out: RateTable = {"rank": np.concatenate([columns["rank"] for _, _, columns in parts])[order]}
    labels = np.empty(len(order), object)
    labels[:] = [name for name, _, columns in parts for _ in range(len(columns["rank"]))]
    out[label] = labels[order]
    if start is not None:
        out[start] = np.concatenate([columns["window"] * width for _, width, columns in parts])[order]
    for field in parts[0][2]:
        if field not in ("rank", "window"):
            out[field] = np.concatenate([columns[field] for _, _, columns in parts])[order]
    return out
