"""Rate cells against a slow, obvious computation over the calls themselves."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.times import HOUR_US, MINUTE_US, NEVER
from models.messages import CellDeltas, DelayDeltas, LatencyDeltas
from models.rates.rate_cells import RateCells
from models.stats import delay_distribution as delay
from models.stats import quantile_sketch as sketch
from models.stats.delay_correction import Expected, correct
from models.stats.intervals import wilson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.messages import Group

START = 1_760_000_000_000_000 // (24 * HOUR_US) * 24 * HOUR_US
GROUPS = [("support", "gpt", "v1"), ("support", "gpt", "v2"), ("bills", "opus", "default")]


class Made(NamedTuple):
    """One call and what became of it."""

    group: Group
    at: int
    verdict: str
    delay_us: int
    latency_ms: float
    cost_nano: int


def _columns(rows: Iterable[tuple[int, ...]], kinds: list[type[np.generic]]) -> list[Any]:
    listed = list(rows)
    return [np.array([row[i] for row in listed], kind) for i, kind in enumerate(kinds)]


def _message(made: list[Made], sign: int = 1) -> tuple[list[Group], CellDeltas, LatencyDeltas, DelayDeltas]:
    names = sorted({m.group for m in made}, reverse=True)
    code = {name: i for i, name in enumerate(names)}
    cells: dict[tuple[int, int], Counter[str]] = defaultdict(Counter)
    latencies: Counter[tuple[int, int, int]] = Counter()
    delays: Counter[tuple[int, int, int, int]] = Counter()
    for m in made:
        cell = cells[code[m.group], m.at // MINUTE_US]
        cell["calls"] += sign
        cell[m.verdict] += sign
        cell["cost"] += sign * m.cost_nano
        bucket = int(sketch.value_bucket(np.array([m.latency_ms]))[0])
        latencies[code[m.group], m.at // MINUTE_US, bucket] += sign
        if m.verdict in ("success", "failure"):
            slow = int(delay.delay_bucket(np.array([m.delay_us]))[0])
            delays[code[m.group], m.at // HOUR_US, int(m.verdict == "success"), slow] += sign
    i32, i64, i16, i8 = np.int32, np.int64, np.int16, np.int8
    fields = ("calls", "success", "failure", "expired", "cost")
    return (
        list(names),
        CellDeltas(*_columns(((*k, *(c[f] for f in fields)) for k, c in cells.items()), [i32] * 6 + [i64])),
        LatencyDeltas(*_columns(((*k, n) for k, n in latencies.items()), [i32, i32, i16, i32])),
        DelayDeltas(*_columns(((*k, n) for k, n in delays.items()), [i32, i32, i8, i16, i32])),
    )


CALLS = st.builds(
    Made,
    group=st.sampled_from(GROUPS),
    at=st.integers(START, START + 9 * 24 * HOUR_US),
    verdict=st.sampled_from(["success", "failure", "expired", "pending"]),
    delay_us=st.integers(0, 100 * HOUR_US),
    latency_ms=st.one_of(st.just(math.nan), st.floats(0.01, 1e6)),
    cost_nano=st.integers(0, 10**12),
)
# Half of the calls near the end, where spans and minutes are decided.
RECENT = CALLS.map(lambda m: m._replace(at=START + 9 * 24 * HOUR_US - (m.at - START) // 60))
TRAFFIC = st.lists(st.one_of(CALLS, RECENT), min_size=1, max_size=60)


def _rows(columns: dict[str, Any], *keys: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    plain = {name: [v.item() if isinstance(v, np.generic) else v for v in col] for name, col in columns.items()}
    out = [dict(zip(plain, values, strict=True)) for values in zip(*plain.values(), strict=True)]
    return {tuple(row[key] for key in keys): row for row in out}


def _check(row: dict[str, Any], calls: list[Made]) -> None:
    count = Counter(m.verdict for m in calls)
    s, f = count["success"], count["failure"]
    assert (row["calls"], row["successes"], row["failures"], row["expired"], row["pending"], row["resolved"]) == (
        len(calls),
        s,
        f,
        count["expired"],
        count["pending"],
        s + f,
    )
    low, high = (float(x) for x in wilson(s, s + f))
    wanted = (s / (s + f), low, high) if s + f else (math.nan,) * 3
    assert (row["rate"], row["rate_low"], row["rate_high"]) == pytest.approx(wanted, nan_ok=True)
    assert row["cost_usd"] == pytest.approx(sum(m.cost_nano for m in calls) / 1e9)
    latency = sorted(m.latency_ms for m in calls if not math.isnan(m.latency_ms))
    for level, field in ((0.5, "latency_p50_ms"), (0.95, "latency_p95_ms")):
        exact = latency[math.ceil(level * len(latency)) - 1] if latency else math.nan
        assert row[field] == pytest.approx(exact, rel=0.0201, nan_ok=True)


def _cells_of(batches: list[list[Made]], *, advance: bool = True) -> RateCells:
    cells, newest = RateCells(), NEVER
    for batch in batches:
        cells.apply(*_message(batch))
        newest = max([newest, *(m.at for m in batch)])
        if advance:
            cells.advance(newest - 3 * MINUTE_US, newest)
    return cells


def _as_of(made: list[Made]) -> int:
    return (max(m.at for m in made) // MINUTE_US + 1) * MINUTE_US


@settings(max_examples=60, deadline=None)
@given(TRAFFIC)
def test_rates_by_hour_and_day_equal_those_counted_from_the_calls(made: list[Made]) -> None:
    made.sort(key=lambda m: m.at)
    rates, _ = _cells_of([made[:20], made[20:]]).tables(_as_of(made), live=False)
    wanted: dict[tuple[Any, ...], list[Made]] = defaultdict(list)
    for m in made:
        for grain, width in (("1h", HOUR_US), ("1d", 24 * HOUR_US)):
            wanted[*m.group, grain, m.at // width * width].append(m)
    rows = _rows(rates, "task_type", "model", "config", "grain", "window_start")
    assert rows.keys() == wanted.keys()
    for key, calls in wanted.items():
        _check(rows[key], calls)


@settings(max_examples=60, deadline=None)
@given(TRAFFIC, st.integers(0, 3))
def test_current_rates_cover_each_span_up_to_the_instant(made: list[Made], minutes_back: int) -> None:
    made.sort(key=lambda m: m.at)
    cells = _cells_of([made[:20], made[20:]])
    as_of = _as_of(made) - minutes_back * MINUTE_US
    _, current = cells.tables(as_of, live=True)
    wanted: dict[tuple[Any, ...], list[Made]] = defaultdict(list)
    for span, hours in (("1h", 1), ("24h", 24), ("48h", 48), ("7d", 168)):
        start = as_of - hours * HOUR_US
        start = start if hours == 1 else start // HOUR_US * HOUR_US
        for m in made:
            if start <= m.at < as_of:
                wanted[*m.group, span].append(m)
    rows = _rows(current, "task_type", "model", "config", "span")
    assert rows.keys() == wanted.keys()
    for key, calls in wanted.items():
        _check(rows[key], calls)
        assert rows[key]["as_of"] == as_of


@settings(max_examples=40, deadline=None)
@given(TRAFFIC, st.randoms(use_true_random=False))
def test_tables_do_not_depend_on_order_batches_or_a_restart(made: list[Made], random: Any) -> None:
    made.sort(key=lambda m: m.at)
    once = _cells_of([made]).tables(_as_of(made), live=False)
    cells = RateCells()
    shuffled = list(made)
    random.shuffle(shuffled)
    for i in range(0, len(shuffled), 7):
        cells.apply(*_message(shuffled[i : i + 7]))
        cells = RateCells.from_state(cells.state())
    cells.advance(_as_of(made) - 4 * MINUTE_US, max(m.at for m in made))
    again = cells.tables(_as_of(made), live=False)
    for one, two in zip(once, again, strict=True):
        for field, column in one.items():
            np.testing.assert_array_equal(column, two[field], field)


@settings(max_examples=30, deadline=None)
@given(TRAFFIC, TRAFFIC)
def test_differences_taken_back_leave_nothing(kept: list[Made], undone: list[Made]) -> None:
    cells, plain = RateCells(), RateCells()
    plain.apply(*_message(kept))
    for batch, sign in ((undone, 1), (kept, 1), (undone, -1)):
        cells.apply(*_message(batch, sign))
    for one, two in zip(cells.tables(_as_of(kept), live=True), plain.tables(_as_of(kept), live=True), strict=True):
        for field, column in one.items():
            np.testing.assert_array_equal(column, two[field], field)


SLOW = CALLS.map(lambda m: m._replace(at=START + (m.at - START) * 20, delay_us=m.delay_us * 30))


@settings(max_examples=40, deadline=None)
@given(st.lists(SLOW, min_size=1, max_size=60))
def test_cohorts_joined_on_the_way_change_no_table(made: list[Made]) -> None:
    """Half a year: delays pass from hours to days and into the history without a trace in the distributions."""
    made.sort(key=lambda m: m.at)
    batches = [made[i : i + 10] for i in range(0, len(made), 10)]
    joined, kept = (_cells_of(batches, advance=on) for on in (True, False))
    late = [made[0]._replace(verdict="success", delay_us=made[-1].at - made[0].at)]
    for target in (joined, kept):
        target.apply(*_message(late))
    for one, two in zip(joined.tables(_as_of(made), live=True), kept.tables(_as_of(made), live=True), strict=True):
        for field, column in one.items():
            np.testing.assert_array_equal(column, two[field], field)


def test_slow_verdicts_of_long_running_groups_are_waited_for() -> None:
    """Failures take 6 days, successes an hour: yesterday's calls look perfect, and are corrected."""
    rng = np.random.default_rng(2)
    days = 40
    now = START + days * 24 * HOUR_US
    at = np.sort(rng.integers(START, now, days * 200))
    good = rng.random(len(at)) < 0.8
    slow = np.where(good, HOUR_US, 6 * 24 * HOUR_US) * np.exp(rng.normal(0, 0.5, len(at)))
    seen = np.where(at + slow < now, np.where(good, "success", "failure"), "pending")
    made = [Made(GROUPS[0], int(a), str(v), int(d), math.nan, 0) for a, v, d in zip(at, seen, slow, strict=True)]
    row = _rows(_cells_of([made]).tables(now, live=True)[1], "span")["7d",]
    assert row["rate"] > 0.9
    assert row["corrected_low"] < 0.8 < row["corrected_high"]
    assert 0.75 < row["maturity"] < 0.95


def test_hours_folded_away_leave_their_days_unchanged() -> None:
    rng = np.random.default_rng(1)
    made = [
        Made(GROUPS[i % 3], START + i * 9 * MINUTE_US, "success" if rng.random() < 0.8 else "failure", 60, 50.0 + i, 5)
        for i in range(2000)
    ]
    cells, plain = _cells_of([made]), _cells_of([made])
    cells.forget_hours(START + 4 * 24 * HOUR_US + 5 * HOUR_US)
    late = [made[3]._replace(verdict="failure", latency_ms=math.nan)]
    for target in (cells, plain):
        target.apply(*_message(late))
    mine, wanted = cells.tables(_as_of(made), live=False)[0], plain.tables(_as_of(made), live=False)[0]
    daily, wanted_daily = mine["grain"] == "1d", wanted["grain"] == "1d"
    for field in mine:
        if not field.startswith(("corrected", "maturity")):
            np.testing.assert_array_equal(mine[field][daily], wanted[field][wanted_daily], field)
    assert min(mine["window_start"][~daily]) == START + 4 * 24 * HOUR_US


def _two_weeks(minutes_past_midnight: int) -> list[Made]:
    return [
        Made(
            GROUPS[i % 3], START + (13 * 24 * 60 + minutes_past_midnight - 11 * i) * MINUTE_US - 1, verdict, 60, 5.0, 5
        )
        for i in range(1700)
        for verdict in ("success", "pending")
    ]


@pytest.mark.parametrize("minutes_past_midnight", [1, 30, 61, 150])
@pytest.mark.parametrize("hours_back", [-24 * 30, 0, 1, 2, 24, 24 * 7])
def test_current_rates_do_not_depend_on_how_soon_hours_are_forgotten(
    minutes_past_midnight: int, hours_back: int
) -> None:
    """Nor do days, nor the hours that are left; a watermark far behind the last call forgets as little."""
    made = _two_weeks(minutes_past_midnight)
    cells, plain = _cells_of([made]), _cells_of([made])
    as_of = _as_of(made)
    for target in (cells, plain):
        target.advance(as_of, as_of - 1)
    cells.forget_hours(as_of - hours_back * HOUR_US)
    (rates, current), (all_rates, wanted) = cells.tables(as_of, live=True), plain.tables(as_of, live=True)
    for name, column in current.items():
        np.testing.assert_array_equal(column, wanted[name], name)
    keys = ("task_type", "model", "config", "grain", "window_start")
    left, whole = _rows(rates, *keys), _rows(all_rates, *keys)
    assert len(left) < len(whole)
    for key, row in left.items():
        assert row["calls"] == whole[key]["calls"]
        if key[3] == "1h":
            assert row["corrected_rate"] == pytest.approx(whole[key]["corrected_rate"], nan_ok=True)


def test_hours_that_a_state_of_before_has_folded_are_missed_by_their_minutes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = _two_weeks(30)
    cells, plain = _cells_of([made]), _cells_of([made])
    monkeypatch.setattr("models.rates.floors._LONGEST_SPAN", 0)
    cells.forget_hours(_as_of(made))
    keys = ("task_type", "model", "config", "grain", "window_start")
    found, whole = (_rows(one.tables(_as_of(made), live=True)[0], *keys) for one in (cells, plain))
    (hours,) = ({key[4] for key in found if key[3] == "1h"},)
    assert hours == {START + 13 * 24 * HOUR_US}
    for key, row in found.items():
        if key[3] == "1h":
            assert row == pytest.approx(whole[key], nan_ok=True)


def test_minutes_are_dropped_once_no_span_needs_them() -> None:
    made = [Made(GROUPS[0], START + i * MINUTE_US, "success", 60, 5.0, 5) for i in range(60 * 24)]
    dropped, kept = _cells_of([made]), _cells_of([made], advance=False)
    assert len(kept) == 60 * 24 + 24
    assert len(dropped) <= 24 + 3 * 60


def test_a_frozen_copy_does_not_see_what_comes_later() -> None:
    made = [Made(GROUPS[0], START + i * MINUTE_US, "success", 60, 5.0, 5) for i in range(100)]
    cells = _cells_of([made])
    frozen = cells.frozen()
    before = frozen.tables(_as_of(made), live=False)
    cells.apply(*_message(made))
    after = frozen.tables(_as_of(made), live=False)
    assert before[0]["calls"].tolist() == after[0]["calls"].tolist()
    assert cells.tables(_as_of(made), live=False)[0]["calls"].sum() == 2 * after[0]["calls"].sum()


def test_without_a_released_history_the_correction_is_null() -> None:
    made = [Made(GROUPS[0], START + i * MINUTE_US, "success", 60, 5.0, 5) for i in range(100)]
    rates, current = _cells_of([made]).tables(_as_of(made), live=False)
    for table in (rates, current):
        for field in ("corrected_rate", "corrected_low", "corrected_high", "maturity"):
            assert np.isnan(table[field]).all()


def test_a_fully_mature_window_is_left_as_it_is() -> None:
    s, f, calls = np.array([80]), np.array([20]), np.array([150])
    all_in, exactly = calls * 1.0, calls * 0.0
    of = Expected(all_in, all_in, exactly, exactly)
    out = correct(s, f, calls, of, (np.array([100.0]), np.array([100.0])))
    assert out.rate[0] == pytest.approx(80.5 / 101)
    assert out.maturity[0] == 1.0


@pytest.mark.parametrize(("span", "hours"), [("1h", 1), ("24h", 24), ("48h", 48), ("7d", 168)])
def test_a_span_starts_to_the_microsecond_where_the_reference_starts_it(span: str, hours: int) -> None:
    as_of = START + 9 * 24 * HOUR_US + 25 * MINUTE_US
    # An hour counts to the minute; longer spans start at the full hour at or before their start.
    first = as_of - HOUR_US if hours == 1 else as_of - 25 * MINUTE_US - hours * HOUR_US
    at = [first - 1, first, as_of - 1, as_of]
    made = [Made(GROUPS[0], t, "success", 60, float(i + 1), 10**9) for i, t in enumerate(at)]
    _, current = _cells_of([made]).tables(as_of, live=True)
    _check(_rows(current, "span")[span,], made[1:3])


def test_a_window_with_nothing_open_is_final_whatever_the_delays_are() -> None:
    """Its corrected rate is its rate, and all of it is in; a window with something open is corrected."""
    rates = RateCells()
    hour = 500_000
    none = np.zeros(0, np.int32)
    for late, (successes, failures, calls) in enumerate(((900, 100, 1000), (7, 1, 8), (7, 1, 20))):
        at = hour + 200 * (late > 0) + late
        counts = [np.array([value], np.int32) for value in (calls, successes, failures, 0)]
        code, minute = np.zeros(1, np.int32), np.array([at * 60], np.int32)
        cells = CellDeltas(code, minute, counts[0], counts[1], counts[2], counts[3], np.zeros(1, np.int64))
        delays = DelayDeltas(
            np.zeros(2, np.int32),
            np.full(2, at, np.int32),
            np.array([0, 1], np.int8),
            np.array([3, 20], np.int16),
            np.array([failures, successes], np.int32),
        )
        rates.apply([("t", "m", "c")], cells, LatencyDeltas(none, none, none.astype(np.int16), none), delays)
    newest = (hour + 202) * 3_600_000_000
    rates.advance(newest + 3_600_000_000, newest)
    table, _ = rates.tables(newest + 3_600_000_000, live=True)
    rows = {
        (start, grain): (rate, corrected, maturity)
        for start, grain, rate, corrected, maturity in zip(
            table["window_start"],
            table["grain"],
            table["rate"],
            table["corrected_rate"],
            table["maturity"],
            strict=True,
        )
    }
    assert rows[(hour + 201) * 3_600_000_000, "1h"] == (0.875, 0.875, 1.0)
    open_one = rows[(hour + 202) * 3_600_000_000, "1h"]
    assert open_one[0] == 0.875
    assert open_one[2] < 1.0
