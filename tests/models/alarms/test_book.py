"""What a detector's own book records can be read back as the alarm that it was."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.times import MINUTE_US
from models.alarms.alarm import Alarm
from models.alarms.book import AlertBook, alarm_of
from models.alarms.phrases import METRICS
from models.drift.settings import BUDGET
from models.drift.values.mean_shift import METRICS as NUMERIC
from simulated.trials import START

WATCHED = ("drift", ("refund", "atlas", None), "success_rate")
DAY = 1440


def alarm(minute: int, **fields: Any) -> Alarm:
    known: dict[str, Any] = {
        "at": (START + minute) * MINUTE_US,
        "watched": WATCHED,
        "direction": "down",
        "severity": "warning",
        "baseline": 0.9,
        "current": 0.8,
        "effect_low": -0.15,
        "effect_high": -0.05,
        "changed_at": (START + minute - 30) * MINUTE_US,
        "promise": "At most 1.",
        "finding": "fell from 90.0% to 80.0%",
        "evidence": {"threshold": 2000.0, "trials_since": 123.0},
        "origin": (1.0, 2.0),
    }
    return Alarm(**(known | fields))


@given(st.integers(100, 5 * DAY), st.integers(0, 99), st.sampled_from(["down", "up"]))
def test_an_alarm_that_opens_or_updates_comes_back_whole(minute: int, back: int, direction: str) -> None:
    book = AlertBook(7 * DAY * MINUTE_US)
    first = alarm(minute, direction=direction, changed_at=(START + minute - back) * MINUTE_US)
    again = alarm(minute + 60, direction=direction, current=0.7)
    for one in (first, again):
        assert alarm_of(book.raise_alarm(one)) == one._replace(origin=())


def test_a_recovery_comes_back_as_the_alarm_in_the_other_direction() -> None:
    book = AlertBook(7 * DAY * MINUTE_US)
    book.raise_alarm(alarm(100))
    found = alarm_of(book.raise_alarm(alarm(900, direction="up", current=0.91, baseline=0.8)))
    assert found is not None
    assert (found.direction, found.current, found.at) == ("up", 0.91, (START + 900) * MINUTE_US)
    assert found.changed_at == (START + 870) * MINUTE_US
    assert found.watched == WATCHED


def test_what_the_passing_of_time_brought_is_no_alarm() -> None:
    book = AlertBook(DAY * MINUTE_US)
    book.raise_alarm(alarm(100))
    (closed,) = book.expire((START + 100 + DAY) * MINUTE_US)
    assert alarm_of(closed) is None
    assert closed.evidence["trials_since"] == pytest.approx(123.0)


def test_every_metric_of_the_detectors_begins_a_sentence() -> None:
    quantiles = [f"{name}:{q}" for name in NUMERIC for q in ("p50", "p90")]
    of_sources = [f"{name}:a:b" for name in ("score", "score:p10", "score:p50", "responses")]
    names = ["success_rate", "calls", *NUMERIC, *quantiles, *of_sources]
    assert {name.partition(":")[0] for name in names} == set(BUDGET), "no metric of the promise is left out"
    phrases = [METRICS[name] for name in names]
    assert len(set(phrases)) == len(names)
    assert all(phrase[0].isupper() and "_" not in phrase and ": " not in phrase for phrase in phrases)
    assert all("'a:b'" in METRICS[name] for name in of_sources)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("calls", "Traffic of task 'refund', model 'atlas', all configs fell."),
        ("responses:judge", "Response rate of source 'judge' of task 'refund', model 'atlas', all configs fell."),
        ("tokens:p90", "Share of numbers of tokens above their usual p90 of task 'refund', model 'atlas', all"),
    ],
)
def test_a_sentence_on_any_metric_comes_back_as_its_alarm(metric: str, said: str) -> None:
    one = alarm(100, watched=("any", WATCHED[1], metric), finding="fell")
    record = AlertBook(DAY * MINUTE_US).raise_alarm(one)
    assert record.reason.startswith(said)
    assert alarm_of(record) == one._replace(origin=())
