"""Sentences of alerts: one per kind of change, with the numbers that a reader needs; and how severe a change is."""

from __future__ import annotations

from typing import Any

import pytest

from models.alarms.alarm import Alarm, Details, MeanChange, OpenAlarm, RateChange, ShareChange, VolumeChange
from models.alerts.sentences import (
    Turn,
    alarm_text,
    metric_text,
    rate_changed,
    rate_measured,
    rate_recovered,
    recovery_text,
    sentence_of,
    several_text,
)
from models.alerts.severity import severity_of_alarm
from models.drift.budget import ALWAYS
from models.drift.values.mean_shift import UNITS
from models.stats.effect_size import Effect

GROUP = ("refund", "atlas", None)
ABOUT = "since about T."
SINCE = " since about T: the change reported T is over."
DROP = Effect(0.91, 0.79, -0.15, -0.09, 210.0, 1000.0, 90.0, 1000.0)


def alarm(metric: str, details: Details, baseline: float, current: float, **fields: Any) -> Alarm:
    known: dict[str, Any] = {
        "at": 0,
        "series": ("any", GROUP, metric),
        "direction": "up" if current > baseline else "down",
        "baseline": baseline,
        "current": current,
        "effect_low": None,
        "effect_high": None,
        "changed_at": 0,
        "promise": None,
        "evidence": {},
        "details": details,
    }
    return Alarm(**(known | fields))


def test_every_metric_of_the_detectors_begins_a_sentence() -> None:
    quantiles = [f"{name}:{q}" for name in UNITS for q in ("p50", "p90")]
    of_sources = [f"{name}:a:b" for name in ("score", "score:p10", "score:p50", "responses")]
    names = ["success_rate", "calls", *UNITS, *quantiles, *of_sources]
    # Known moments are tested on success rates.
    assert {name.partition(":")[0] for name in names} | {"known_moment"} == ALWAYS, "no metric is left out"
    phrases = [metric_text(name) for name in names]
    assert len(set(phrases)) == len(names)
    assert all(phrase[0].isupper() and "_" not in phrase and ": " not in phrase for phrase in phrases)
    assert all("'a:b'" in metric_text(name) for name in of_sources)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            alarm("success_rate", RateChange(inherited=False), 0.91, 0.79, effect_low=-0.15, effect_high=-0.09),
            "Success rate of G fell from 91.0% to 79.0% (P) since about T.",
        ),
        (
            alarm("success_rate", RateChange(inherited=True), 0.91, 0.81),
            "Success rate of G, against the baseline of its roll-up, fell from 91.0% to 81.0% (-10.0 points) " + ABOUT,
        ),
        (
            alarm("latency_ms", MeanChange("ms"), 812.3, 1624.6),
            "Typical latency of G rose from 812.3 ms to 1625 ms (+100%) since about T.",
        ),
        (
            alarm("latency_ms", MeanChange("ms"), 812.3, 1624.6, again=True),
            "Typical latency of G moved again: 1625 ms since about T, 812.3 ms before the alert (+100%).",
        ),
        (
            alarm("score:judge", MeanChange(""), 0.8, 0.7),
            "Mean score by 'judge' of G fell from 0.800 to 0.700 since about T.",
        ),
        (
            alarm("cost_usd:p90", ShareChange(0.0042, "USD"), 0.1, 0.55),
            "Share of costs per call above their usual p90 (0.0042 USD) of G rose from 10.0% to 55.0% since about T.",
        ),
        (
            alarm("score:p10:judge", ShareChange(0.62, ""), 0.9, 0.7),
            "Share of scores by 'judge' above their usual p10 (0.62) of G fell from 90.0% to 70.0% since about T.",
        ),
        (
            alarm("calls", VolumeChange(0, 36.4, "calls an hour"), 12.1, 0.0),
            "Traffic of G fell to 0 calls an hour, where 12.1 were expected (0 of about 36), since about T.",
        ),
    ],
)
def test_a_change_of_each_kind_has_its_sentence(found: Alarm, sentence: str) -> None:
    assert plain(alarm_text(found)) == sentence
    assert sentence_of(found) == alarm_text(found)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            alarm("latency_ms", MeanChange("ms"), 812.3, 830.0, direction="down"),
            "Typical latency of G is back to 830 ms (812.3 ms before the change)" + SINCE,
        ),
        (
            alarm("score:p10:judge", ShareChange(0.62, ""), 0.9, 0.885),
            "Share of scores by 'judge' above their usual p10 (0.62) of G is back to 88.5% (90.0% before the change)"
            + SINCE,
        ),
        (
            alarm("responses:tickets", VolumeChange(21, 22.4, "statements per call"), 0.5, 0.47, direction="up"),
            "Response rate of source 'tickets' of G is back to 0.47 statements per call (21 of about 22 expected)"
            + SINCE,
        ),
    ],
)
def test_a_recovery_of_each_kind_has_its_sentence(found: Alarm, sentence: str) -> None:
    assert plain(recovery_text(found, 0)) == sentence
    ended = found._replace(ends=OpenAlarm("up", 0, 1.0, 2.0, promised=False))
    assert sentence_of(ended) == recovery_text(found, 0)


@pytest.mark.parametrize(
    ("turn", "sentence"),
    [
        ("opened", "fell from 91.0% to 79.0% (P) since about T."),
        ("again", "moved again: 79.0% since about T, 91.0% before the alert (P)."),
        ("wider", "fell from 91.0% to 79.0% (P) since about T: the change is wider than first reported."),
        ("reopened", "fell again, from 91.0% to 79.0% (P) since about T: the earlier alert is open again."),
    ],
)
def test_a_success_rate_has_a_sentence_for_each_turn(turn: Turn, sentence: str) -> None:
    assert plain(rate_changed(GROUP, "success_rate", DROP, 0, turn)) == f"Success rate of G {sentence}"


def test_a_review_and_a_recovery_of_a_success_rate_state_what_they_rest_on() -> None:
    measured = "measured on the 1,000 outcomes of the 24 h after the alarm."
    assert plain(rate_measured(GROUP, "success_rate", DROP, 0, 24)) == (
        f"Success rate of G fell from 91.0% to 79.0% (P) since about T, {measured}"
    )
    back = DROP._replace(current=0.905)
    assert plain(rate_recovered(GROUP, "success_rate", back, 0, 0)) == (
        "Success rate of G is back to 90.5% (91.0% before the change) since about T: the change reported T is over."
    )


def test_a_change_in_several_groups_names_the_latest() -> None:
    latest = alarm("latency_ms:p90", ShareChange(990.0, "ms"), 0.1, 0.5)
    sentence = several_text("latency_ms", (None, "atlas", None), 3, latest)
    assert sentence.startswith(
        "Typical latency of model 'atlas' over all task types has changed in 3 groups. The latest:"
    )
    assert sentence.endswith(alarm_text(latest))


@pytest.mark.parametrize(
    ("found", "severity"),
    [
        (alarm("success_rate", RateChange(inherited=False), 0.9, 0.79), "critical"),
        (alarm("success_rate", RateChange(inherited=False), 0.9, 0.85), "warning"),
        (alarm("success_rate", RateChange(inherited=False), 0.8, 0.9), "info"),
        (alarm("tokens", MeanChange("tokens"), 100.0, 200.0), "critical"),
        (alarm("tokens", MeanChange("tokens"), 100.0, 199.0), "warning"),
        (alarm("tokens", MeanChange("tokens"), 200.0, 100.0), "info"),
        (alarm("score:judge", MeanChange(""), 0.8, 0.3), "warning"),
        (alarm("score:judge", MeanChange(""), 0.3, 0.8), "info"),
        (alarm("latency_ms:p90", ShareChange(1.0, "ms"), 0.1, 0.6), "critical"),
        (alarm("latency_ms:p50", ShareChange(1.0, "ms"), 0.5, 0.9), "warning"),
        (alarm("latency_ms:p50", ShareChange(1.0, "ms"), 0.5, 0.1), "info"),
        (alarm("score:p10:judge", ShareChange(0.6, ""), 0.9, 0.4), "critical"),
        (alarm("score:p10:judge", ShareChange(0.6, ""), 0.9, 0.7), "warning"),
        (alarm("score:p10:judge", ShareChange(0.6, ""), 0.7, 0.9), "info"),
        (alarm("calls", VolumeChange(1, 20.0, "calls an hour"), 10.0, 0.5), "critical"),
        (alarm("calls", VolumeChange(3, 20.0, "calls an hour"), 10.0, 1.5), "warning"),
        (alarm("calls", VolumeChange(90, 20.0, "calls an hour"), 10.0, 45.0), "warning"),
    ],
)
def test_the_change_itself_decides_how_severe_it_is(found: Alarm, severity: str) -> None:
    assert severity_of_alarm(found) == severity
    ended = OpenAlarm(found.direction, 0, found.baseline, found.current, promised=True)
    over = found._replace(direction="up", current=found.baseline, ends=ended)
    assert severity_of_alarm(over) == severity, "a recovery is as severe as the change that it ends"


def plain(sentence: str) -> str:
    """With G for the group, T for the time, P for the difference and interval of `DROP`."""
    for long, short in (
        ("task 'refund', model 'atlas', all configs", "G"),
        ("1970-01-01 00:00 UTC", "T"),
        ("-12.0 points, 99% interval -15.0 to -9.0", "P"),
    ):
        sentence = sentence.replace(long, short)
    return sentence
