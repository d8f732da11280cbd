"""The benchmark of the SDK: figures that need neither a broker nor a quiet machine."""

from __future__ import annotations

from pathlib import Path

from benchmarks.sdk import limits
from benchmarks.sdk.response_path import bare, quantiles, tight


def test_what_a_small_spool_drops_is_counted_exactly(tmp_path: Path) -> None:
    found = limits.dropped_exactly(tmp_path, 8000)
    assert found["exact"]
    assert found["dropped"]["spool_full"] > 1000
    assert set(found["dropped"]) == {"spool_full"}


def test_the_spool_takes_every_event_and_gives_it_back(tmp_path: Path) -> None:
    assert limits.spool_events_per_s(tmp_path, 2000) > 0
    assert list(tmp_path.rglob("*.spool")) == []


def test_quantiles_are_in_microseconds() -> None:
    assert quantiles(list(range(0, 100_000, 1000))) == {"p50": 50.0, "p99": 99.0}
    assert len(tight(bare, 10)) == 10
