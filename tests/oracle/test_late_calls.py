"""What comes late, all at once, joins and counts in the rates of its time, and says nothing about the present."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.groups.usual_lateness import STRIDE, UsualLateness
from models.messages import TrialDeltas
from oracle.direct import join_rules
from oracle.held import Held
from oracle.lateness import Usual, class_of
from oracle.live import DAY_S, HOUR_S, START_S, Live, call, history, opened, outcome, rfc3339
from oracle.records import MINUTE_US, Call, Rules

Sent = tuple[list[dict[str, Any]], list[dict[str, Any]]]


def traffic(rng: np.random.Generator, name: str, days: tuple[float, float], per_day: int, rate: float) -> Sent:
    """Calls of these days and the feedback on them, half an hour later on average, each by its own time."""
    begin, end = (START_S + day * DAY_S for day in days)
    at = np.sort(rng.uniform(begin, end, round(per_day * (days[1] - days[0])))).tolist()
    calls = [call(f"{name}-{i}", t) for i, t in enumerate(at)]
    said = [(t + rng.exponential(1800), i, t) for i, t in enumerate(at)]
    outcomes = [outcome(f"{name}-{i}", s, success=bool(rng.uniform() < rate), call_s=t) for s, i, t in sorted(said)]
    return calls, outcomes


def run(parts: list[Sent], cuts: list[int], *, resumed: bool = False) -> Live:
    """The partitions, with what each part sends behind that of the part before it."""
    sent = history([c for calls, _ in parts for c in calls], [o for _, outcomes in parts for o in outcomes])
    live = Live(join_rules(sent.rules))
    live.run(sent, cuts, [resumed] * len(cuts), merged=True)
    return live


def backfill(per_day: int = 300) -> list[Sent]:
    """Steady traffic, 600 calls of twelve days before with 55 % successes, and steady traffic again."""
    rng = np.random.default_rng(5)
    return [
        traffic(rng, "before", (0, 16), per_day, 0.92),
        traffic(rng, "other", (4, 5), 600, 0.55),
        traffic(rng, "after", (16, 18), per_day, 0.92),
    ]


@pytest.mark.slow
def test_a_backfill_joins_and_raises_no_alert() -> None:
    parts = backfill()
    live = run(parts, [2000, 9000])
    assert live.dead_reasons == {}
    assert (live.tally["calls"], live.tally["outcomes"]) == (16 * 300 + 600 + 600, 16 * 300 + 600 + 600)
    assert [alert.reason for alert in live.alerts] == []
    of_day = sum(n for (_, minute, name), n in live.cells.items() if name == "calls" and minute // 1440 == 20_004)
    fifth = START_S + 4 * DAY_S
    sent = [c for calls, _ in parts for c in calls if rfc3339(fifth) <= c["occurred_at"] < rfc3339(fifth + DAY_S)]
    assert of_day == len(sent) > 600
    assert sum(late.fresh for late in live.late) == live.late[-1].of_day == 600
    trials = sum(int((c.trials.trial_successes + c.trials.trial_failures).sum()) for c in live.closed)
    assert trials <= 18 * 300


@pytest.mark.slow
def test_no_cut_and_no_resume_changes_what_comes_late() -> None:
    parts = backfill(60)
    whole, cut = run(parts, []), run(parts, [700, 1500, 1600, 1700, 2900], resumed=True)
    assert [tuple(late) for late in whole.late] == [tuple(late) for late in cut.late]
    assert whole.alerts == cut.alerts


def uploads(rates: list[float], per_day: int) -> list[Sent]:
    """A group that uploads each day's calls and outcomes two hours after midnight, beside one that is live."""
    rng = np.random.default_rng(8)
    parts: list[Sent] = []
    for day, rate in enumerate(rates):
        calls, outcomes = traffic(rng, f"live-{day}", (day, day + 1), 100, 0.9)
        night = START_S + (day + 1) * DAY_S + 2 * HOUR_S
        live = [c | {"model": "live"} for c in calls], outcomes
        uploaded, said = traffic(rng, f"upload-{day}", (day, day + 0.95), per_day, rate)
        clock = [call(f"clock-{day}", night, model="live")], [outcome(f"clock-{day}", night, success=True)]
        parts += [live, clock, (uploaded, said)]
    return parts


@pytest.mark.slow
def test_a_group_that_uploads_daily_and_falls_is_found_with_the_next_upload_or_the_one_after() -> None:
    days = 20
    live = run(uploads([0.9] * days + [0.7] * 3, 400), [])
    fallen = [a for a in opened(live.alerts) if a.metric == "success_rate"]
    assert [(a.model, a.direction) for a in fallen] == [("large", "down")]
    found = (fallen[0].opened_at.timestamp() - START_S) / DAY_S
    assert found <= days + 2 + 3 / 24
    assert not [a for a in live.alerts if a.metric.startswith("responses")]
    # Until it is known that it uploads each day, it is shown as what came late.
    assert {late.minute // 1440 - 20_000 for late in live.late if late.fresh > 100} <= {1, 2, 3}


DAYS = st.lists(st.lists(st.integers(-1, 9), max_size=3), min_size=1, max_size=12)


@settings(max_examples=60)
@given(DAYS, st.integers(0, 9))
def test_what_is_usual_is_that_of_the_reference(days: list[list[int]], late: int) -> None:
    """Per day the classes of a group's calls, as they come."""
    minutes = [int(60 * 2**one) for one in range(-1, 10)]
    held = [
        Held(Call(f"{day}-{i}", (20_000 + day) * 1440 * MINUTE_US - minutes[one + 1] * MINUTE_US), 0, Rules())
        for day, ones in enumerate(days)
        for i, one in enumerate(ones)
    ]
    for one in held:
        one.minute = (20_000 + int(one.call.call_id.split("-")[0])) * 1440
    learned = UsualLateness()
    learned.grow(1)
    for day, ones in enumerate(days):
        code = np.array([class_of(minutes[one + 1]) for one in ones], np.int32) * STRIDE
        minute = np.full(len(code), (20_000 + day) * 1440, np.int32)
        each = np.ones(len(code), np.int32)
        learned.sorted_out([TrialDeltas(code, minute, *(each,) * 5)])
        learned = UsualLateness(learned.state())
    asked = TrialDeltas(*(np.array([n], np.int32) for n in (late * STRIDE, (20_000 + len(days)) * 1440, 1, 0, 1, 0, 0)))
    usual, _ = learned.sorted_out([asked])
    assert bool(len(usual[0].code)) == (late <= Usual(held).of(("task", "model", "default"), 20_000 + len(days)))
