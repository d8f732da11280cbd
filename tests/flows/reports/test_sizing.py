"""What held calls take follows from the rate of calls and the horizons, with constants that were measured."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from flows.reports.sizing import BYTES_PER_HELD_CALL, RESUME_S_PER_MILLION, Sizing, sizing

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
ENGINE, PRODUCT = RESULTS / "engine.json", RESULTS / "product.json"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def sized(
    calls_per_second: float = 10.0,
    *,
    horizon: timedelta = 30 * DAY,
    task_horizons: dict[str, timedelta] | None = None,
    allowed_lateness: timedelta = HOUR,
    epoch: timedelta = timedelta(seconds=10),
) -> Sizing:
    return sizing(
        calls_per_second,
        horizon=horizon,
        task_horizons=task_horizons or {},
        allowed_lateness=allowed_lateness,
        epoch=epoch,
    )


def test_bytes_per_held_call_are_those_that_the_benchmark_measured() -> None:
    measured = json.loads(ENGINE.read_text(encoding="utf-8"))["figures"]["bytes_per_held_call"]
    assert pytest.approx(measured, rel=0.15) == BYTES_PER_HELD_CALL


def test_the_seconds_of_a_resume_are_those_that_the_benchmark_measured() -> None:
    rows = json.loads(PRODUCT.read_text(encoding="utf-8"))["details"]["held"]["rows"]
    first, last = rows[0], rows[-1]
    measured = (last["resume_s"] - first["resume_s"]) / (last["held"] - first["held"]) * 1e6
    assert pytest.approx(measured, rel=0.15) == RESUME_S_PER_MILLION


def test_as_many_calls_are_held_as_are_open_in_a_steady_stream_that_is_counted() -> None:
    """A call every 400 ms, looked at after all have begun to close: horizon 90 s, lateness 30 s."""
    begun_ms = range(0, 1_000_000, 400)
    counted = sum(at <= 999_999 < at + 120_000 for at in begun_ms)
    (size,) = sized(2.5, horizon=timedelta(seconds=90), allowed_lateness=timedelta(seconds=30)).horizons
    assert size.calls_held == counted == 300


def test_a_month_at_ten_calls_a_second_takes_three_gigabytes_and_a_quarter_of_a_minute() -> None:
    (size,) = sized().horizons
    assert (size.horizon, size.task_types, size.default) == (30 * DAY, (), True)
    assert size.calls_held == 10 * 86_400 * 30 + 10 * 3_600
    assert size.memory_bytes == pytest.approx(2.91e9, rel=0.01)
    assert size.state_bytes == pytest.approx(2.34e9, rel=0.01)
    assert size.state_bytes_at_most == 2 * size.state_bytes
    assert size.resume_s == pytest.approx(15.6, rel=0.01)


def test_task_types_of_one_horizon_share_a_line_and_the_longest_comes_first() -> None:
    sizes = sized(task_horizons={"c": 7 * DAY, "a": 7 * DAY, "b": 90 * DAY, "d": 30 * DAY}).horizons
    assert [(size.horizon / DAY, size.task_types, size.default) for size in sizes] == [
        (90, ("b",), False),
        (30, ("d",), True),
        (7, ("a", "c"), False),
    ]


def test_each_line_is_as_if_all_calls_had_its_horizon() -> None:
    alone = {days: sized(horizon=days * DAY).horizons[0].calls_held for days in (7, 30)}
    both = sized(task_horizons={"a": 7 * DAY}).horizons
    assert {size.horizon / DAY: size.calls_held for size in both} == alone


def test_what_an_epoch_stores_depends_on_the_rate_and_the_epoch_alone() -> None:
    assert sized().epoch_bytes == sized(horizon=DAY, task_horizons={"a": HOUR}).epoch_bytes
    assert sized(20).epoch_bytes == 2 * sized().epoch_bytes
    assert sized(epoch=timedelta(seconds=30)).epoch_bytes == 3 * sized().epoch_bytes
