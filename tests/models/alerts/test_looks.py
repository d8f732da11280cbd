"""What an alert first says is corrected by the outcomes that come after it, however few or many they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aftercall.records import Alert
from aftercall.times import EPOCH, MINUTE_US
from models.alarms.alarm import Alarm, RateChange
from models.alerts.alerting import Alerting
from models.alerts.looks import contradiction, spans
from models.messages import Group
from models.stats.effect_size import Effect
from models.stats.intervals import Z_99, newcombe
from simulated.trials import DAY, HOUR, NO_WAIT, START, Trials, for_alerts

GROUP: Group = ("refund", "atlas", "v2")
BEFORE, NOTICED = 4 * DAY, 4 * DAY + 10 * HOUR


def stream(before: float, hit: int, of: int, after: float, per_hour: int, days: int = 4) -> Trials:
    """20 outcomes an hour at rate `before`, then `hit` of `of` successes within ten hours, then `after`."""
    old, new = np.arange(0, BEFORE, HOUR), np.arange(NOTICED, NOTICED + days * DAY, HOUR)
    later = np.diff(np.rint(np.arange(len(new) + 1) * per_hour * after))
    ok = [np.full(len(old), float(round(20 * before))), np.array([float(hit)]), later]
    n = [np.full(len(old), 20), np.array([of]), np.full(len(new), per_hour)]
    minute = np.concatenate((old, [BEFORE + 5 * HOUR], new))
    successes = np.concatenate(ok).astype(np.int64)
    return Trials(minute, np.zeros(len(minute), np.int64), successes, np.concatenate(n) - successes, [GROUP])


def alarm(before: float, hit: int, of: int) -> Alarm:
    n0 = 20.0 * BEFORE / HOUR
    low, high = (float(bound) for bound in newcombe(n0 * before, n0, hit, of, Z_99))
    counts = {"trials_before": n0, "failures_before": n0 * (1 - before), "trials_since": of, "failures_since": of - hit}
    return Alarm(
        at=(START + NOTICED) * MINUTE_US,
        series=("drift", GROUP, "success_rate"),
        direction="up" if hit / of > before else "down",
        baseline=before,
        current=hit / of,
        effect_low=low,
        effect_high=high,
        changed_at=(START + BEFORE) * MINUTE_US,
        promise=1.0,
        evidence={"threshold": 4000.0, **{name: float(value) for name, value in counts.items()}},
        details=RateChange(inherited=False),
    )


def records(trials: Trials, found: Alarm, cuts: tuple[int, ...] = ()) -> list[Alert]:
    stage, emitted, begin = Alerting(for_alerts(NO_WAIT)), [], 0
    end = int(trials.minute[-1]) + HOUR
    for until in (*cuts, end):
        mine = [found] if begin < NOTICED <= until else []
        emitted += stage.close(trials.between(begin, until), mine)
        stage = Alerting.from_state(stage.state(), for_alerts(NO_WAIT))
        begin = until
    return emitted


def hours_after(alert: Alert) -> float:
    return (alert.updated_at - EPOCH).total_seconds() / 3600 - (START + NOTICED) / 60


def test_a_rise_that_the_next_thousand_outcomes_do_not_confirm_is_corrected_in_the_alert() -> None:
    """28.7 % to 86 % from 14 outcomes; the next say 54 %."""
    found = records(stream(0.3, 12, 14, 0.54, per_hour=50), alarm(0.3, 12, 14))
    opened, first = found[0], found[1]
    assert opened.current is not None
    assert opened.current < 12 / 14 - 0.08
    assert "It rests on 14 outcomes since then, of which 85.7% succeeded." in opened.reason
    assert opened.evidence["outcomes"] == 14
    assert first.state == "updated"
    assert first.current == pytest.approx(0.54, abs=0.02)
    assert hours_after(first) <= 24
    assert found[-1].current == pytest.approx(0.54, abs=0.02)


@pytest.mark.parametrize(("per_hour", "by"), [(1, 48.0), (5, 24.0), (300, 24.0)])
def test_an_estimate_that_is_wrong_is_contradicted_at_any_traffic(per_hour: int, by: float) -> None:
    """Nine of ten fail at first; later only three of ten do, where it was one: less than half of the change is left."""
    found = records(stream(0.9, 2, 20, 0.7, per_hour), alarm(0.9, 2, 20))
    wrong = next(one for one in found if "corrected_from" in one.evidence)
    assert hours_after(wrong) <= by
    assert wrong.evidence["corrected_from"] == found[0].current
    assert wrong.current == pytest.approx(0.7, abs=0.1)
    assert f"measured on the {wrong.evidence['outcomes']} outcomes of the" in wrong.reason
    assert f"The alert said {found[0].current:.1%} before" in wrong.reason


def test_a_good_estimate_from_many_outcomes_is_not_replaced_by_a_poor_one_from_few() -> None:
    """Less than half of the drop shows in 24 outcomes a day, which cannot tell it from none."""
    found = records(stream(0.9, 1700, 2000, 0.88, per_hour=1, days=2), alarm(0.9, 1700, 2000))
    assert [one.state for one in found] == ["opened"]


@pytest.mark.parametrize("cut", [NOTICED - 1, NOTICED, NOTICED + HOUR, NOTICED + DAY, NOTICED + DAY + 1])
def test_corrections_do_not_depend_on_cuts_and_resumes(cut: int) -> None:
    trials, found = stream(0.9, 2, 20, 0.7, per_hour=5), alarm(0.9, 2, 20)
    assert records(trials, found, (cut,)) == records(trials, found)


@pytest.mark.parametrize(
    ("current", "low", "high", "trials", "hours", "how"),
    [
        (0.70, -0.25, -0.15, 200, 24, None),  # as reported
        (0.78, -0.15, -0.09, 200, 24, "excluded"),
        (0.78, -0.15, -0.09, 10, 1, "excluded"),
        (0.78, -0.15, -0.09, 9, 24, None),  # too few to say anything
        (0.82, -0.22, 0.05, 50, 24, "half"),  # may be as reported, but less than half is left
        (0.82, -0.22, 0.05, 50, 6, None),  # a time of the day
        (0.82, -0.22, 0.05, 29, 24, None),
        (0.82, -0.40, 0.05, 50, 24, None),  # cannot tell it from none
    ],
)
def test_a_report_is_contradicted_by_an_interval_or_by_half(
    current: float, low: float, high: float, trials: int, hours: int, how: str | None
) -> None:
    record: dict[str, Any] = {"baseline": 0.9, "current": 0.7, "effect_low": -0.3, "effect_high": -0.1}
    effect = Effect(0.9, current, low, high, trials * (1 - current), trials, 100.0, 1000.0)
    assert contradiction(effect, record, hours) == how
    assert [spans(one) for one in (1, 24, 48)] == [(1,), (24,), (24, 48)]


def _effect(before: float, after: float, trials: float) -> Effect:
    low, high = (float(bound) for bound in newcombe(5617.0 * before, 5617.0, trials * after, trials, Z_99))
    return Effect(before, after, low, high, trials * (1 - after), trials, 5617.0 * (1 - before), 5617.0)


def test_a_daily_look_of_few_outcomes_does_not_contradict_what_rests_on_more() -> None:
    """78.3 % of 791 outcomes were reported, and 83.3 % of a day's 502 succeed: 2.2 deviations, one look of many."""
    reported = _effect(0.89, 0.783, 791.0)
    record = {"baseline": 0.89, "current": 0.783, "effect_low": reported.low, "effect_high": reported.high}
    day = _effect(0.89, 0.833, 502.0)
    assert not day.low <= 0.783 - 0.89 <= day.high
    assert contradiction(day, record, 72) is None
    assert contradiction(_effect(0.89, 0.86, 502.0), record, 72) == "excluded"
    assert contradiction(day, record, 24) == "excluded", "the first day is held against what the alarm had selected"
