"""Each stage of a process is logged once, as soon as it is known of all its lanes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from flows.service.report import PUBLISHED_EVERY_S, Report


class Wheel:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wheel() -> Wheel:
    return Wheel()


@pytest.fixture
def report(tmp_path: Path, wheel: Wheel, caplog: pytest.LogCaptureFixture) -> Report:
    caplog.set_level(logging.INFO, "aftercall.run")
    (tmp_path / "outcomes.duckdb").symlink_to("outcomes-7.duckdb")
    made = Report(tmp_path, wheel)
    made.expects_lane("lane00")
    made.expects_lane("lane01")
    return made


def lines(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records]


def test_what_is_read_is_logged_once_all_lanes_know_it(report: Report, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        report.partitions("lane00", {("calls", 0): (1_200, 30), ("outcomes", 0): (5, 0)})
    assert lines(caplog) == []
    for _ in range(3):
        report.partitions("lane01", {("calls", 1): (0, 4_000), ("outcomes", 1): (5, 0)})
        report.partitions("lane00", {("calls", 0): (1_300, 0), ("outcomes", 0): (5, 0)})
    (line,) = lines(caplog)
    calls = "calls (2 partitions, from offsets 0 to 1200, 4,030 records behind)"
    assert line == f"reading {calls} and outcomes (2 partitions, from offset 5, 0 records behind)"


def test_catching_up_is_logged_once_all_lanes_have(
    report: Report, wheel: Wheel, caplog: pytest.LogCaptureFixture
) -> None:
    report.caught_up("lane01")
    assert lines(caplog) == []
    wheel.now = 12
    report.caught_up("lane00")
    assert lines(caplog) == ["caught up: each partition was read to its end; 12 s after the start"]


def test_lanes_without_partitions_are_no_error(report: Report, caplog: pytest.LogCaptureFixture) -> None:
    report.partitions("lane00", {})
    report.partitions("lane01", {})
    assert lines(caplog) == ["reading no partitions"]


def test_the_first_snapshot_is_logged_and_then_one_an_hour(
    report: Report, wheel: Wheel, caplog: pytest.LogCaptureFixture
) -> None:
    report.published(0.0)
    assert lines(caplog) == [], "nothing was new"
    for wheel.now in range(0, int(2 * PUBLISHED_EVERY_S), 60):
        report.published(0.5)
    assert lines(caplog) == ["snapshot published in 0.5 s: outcomes-7.duckdb"] * 2
