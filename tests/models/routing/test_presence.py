"""An arm that is not called although it should be is retired; one that is seldom called is not."""

from __future__ import annotations

import pytest

from aftercall.records import Recommendation
from models import plain
from models.routing.routing import Routing, RoutingSettings
from simulated.arms import START, A, B, C, Row, arms, closed

HOW = RoutingSettings(floor=0.0)
DAY = 24 * 60


def hourly(group: tuple[str, str, str], good: int, calls: int, since: int, until: int) -> list[Row]:
    """Calls every hour, of the hours from `since` to before `until`, a share of which succeeds."""
    wins = calls * good // 10
    return [Row(START + 60 * hour, group, wins, calls - wins, calls) for hour in range(since, until)]


def run(rows: list[Row], days: list[int]) -> list[Recommendation]:
    """The last recommendation of each of these days, of a service that is stopped and resumed every day."""
    routing, last = Routing(HOW), list[Recommendation]()
    found: list[Recommendation] = []
    for day in range(max(days) + 1):
        part = [row for row in rows if START + day * DAY <= row.minute < START + (day + 1) * DAY]
        found += routing.close(closed(part, START + (day + 1) * DAY), [])
        routing = Routing.from_state(plain.unpack(plain.pack(routing.state())), HOW)
        if day in days:
            last.append(found[-1])
    return last


def test_a_config_that_was_renamed_gets_nothing_after_a_day_and_is_not_listed_after_eight() -> None:
    """The old one was better and a third of the calls; no gateway follows what is recommended."""
    rows = hourly(A, 9, 10, 0, 5 * 24) + hourly(B, 7, 20, 0, 17 * 24)
    at_first, retired, listed, dropped = run(rows, [4, 7, 10, 15])
    assert arms(at_first)["a", "default"].weight > 0.9
    assert (arms(retired)["a", "default"].status, arms(retired)["a", "default"].weight) == ("retired", 0.0)
    assert arms(retired)["b", "default"].weight == 1.0
    assert "not called any more: a" in retired.reason
    assert arms(listed)["a", "default"].status == "retired"
    assert list(arms(dropped)) == [("b", "default")]


def test_one_call_brings_an_arm_back_with_what_is_known_of_it() -> None:
    rows = hourly(A, 9, 10, 0, 5 * 24) + hourly(B, 7, 20, 0, 9 * 24) + [Row(START + 8 * DAY + 30, A, 1, 0, 1)]
    gone, back = run(rows, [7, 8])
    assert arms(gone)["a", "default"].status == "retired"
    assert arms(back)["a", "default"].status != "retired"
    assert arms(back)["a", "default"].rate == pytest.approx(0.9, abs=0.02)
    assert arms(back)["a", "default"].weight > 0.5


def test_an_arm_to_which_few_calls_were_due_is_never_retired() -> None:
    """Calls follow the weights: the worst arm has almost none, and is not gone because of it."""
    rows = hourly(A, 9, 50, 0, 6 * 24) + hourly(B, 5, 50, 0, 12) + hourly(C, 5, 1, 0, 12)
    for found in run(rows, [1, 3, 5]):
        assert arms(found)["b", "default"].status != "retired"
        assert arms(found)["c", "v2"].status != "retired"
