"""Recommendations do not depend on how minutes are cut into messages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftercall.records import Alert, Recommendation, to_json
from aftercall.times import HOUR_US, MINUTE_US
from models.messages import Restart
from models.routing.routing import Routing, RoutingSettings, TaskRouting
from simulated.arms import START, A, B, C, Row, alert, closed, when

OTHER_TASK = ("refund", "a", "default")
minutes = st.integers(START, START + 60 * 30) | st.integers(START + 60, START + 150)
"""Spread out, and crowded into few hours, so that cuts fall between rows of one hour."""
groups = st.sampled_from([A, B, C, OTHER_TASK, ("triage", "__other__", "__other__")])
histories = st.lists(
    st.builds(
        Row,
        minutes,
        groups,
        st.integers(-30, 60),
        st.integers(-30, 30),
        st.integers(0, 60),
        st.sampled_from([float("nan"), 0.1, 333.333, 5e12]),
        st.sampled_from([float("nan"), 0.0, 1 / 3, 1e6]),
        st.sampled_from([0, 3, 50, 400]),
    ),
    max_size=40,
    unique_by=lambda row: (row.minute, row.group),
)
raised = st.lists(
    st.builds(
        lambda minute, group, state, back, direction, number, evidence: alert(
            minute,
            group,
            state=state,
            direction=direction,
            alert_id=f"{number:032x}",
            evidence=evidence,
            changed_at=when(minute - back),
        ),
        st.integers(START, START + 60 * 30),
        st.sampled_from(
            [A, B, ("triage", "a", None), ("triage", None, None), OTHER_TASK, ("*", "a", None), ("*", None, "v2")]
        ),
        st.sampled_from(["opened", "updated", "closed"]),
        st.integers(0, 2000),
        st.sampled_from(["up", "down"]),
        st.integers(0, 2),
        st.sampled_from([{}, {"current_after": 0.9}]),
    ),
    max_size=5,
)
changes = st.lists(
    st.builds(
        lambda minute, group, back: Restart(group, minute * MINUTE_US, (minute - back) * MINUTE_US, "down"),
        st.integers(START + 1, START + 60 * 30),
        st.sampled_from([A, B, OTHER_TASK, ("triage", "unknown", "v1")]),
        st.integers(0, 900),
    ),
    max_size=4,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    histories,
    raised,
    changes,
    st.sets(minutes, max_size=12),
    st.booleans(),
    st.sampled_from([HOUR_US, 15 * MINUTE_US, 25 * MINUTE_US, 6 * HOUR_US, 90_000_000]),
)
def test_recommendations_do_not_depend_on_how_minutes_are_cut(
    rows: list[Row],
    alerts: list[Alert],
    restarts: list[Restart],
    cuts: set[int],
    resume: bool,  # noqa: FBT001 - drawn by Hypothesis
    every_us: int,
) -> None:
    how = RoutingSettings(every_us=every_us, tasks={"refund": TaskRouting(value=0.5, max_cost_usd=100.0)})
    alerts.sort(key=lambda one: (one.updated_at, one.alert_id, one.event_id))
    restarts.sort()
    end = START + 60 * 32
    whole = Routing(how).close(closed(rows, end), alerts, restarts)
    routing = Routing(how)
    pieces: list[Recommendation] = []
    previous = 0
    for through in sorted({*cuts, end}):
        part = [row for row in rows if previous <= row.minute < through]
        emitted = [one for one in alerts if when(previous) < one.updated_at <= when(through)]
        found = [one for one in restarts if previous * MINUTE_US < one.at <= through * MINUTE_US]
        pieces += routing.close(closed(part, through), emitted, found)
        if resume:
            routing = Routing.from_state(routing.state(), how)
        previous = through
    assert [to_json(one) for one in pieces] == [to_json(one) for one in whole]


def test_minute_by_minute_gives_the_same_as_one_message_where_rows_are_dense() -> None:
    rng = np.random.default_rng(1)
    rows = [
        Row(START + minute, group, int(rng.integers(-9, 10)), int(rng.integers(-9, 10)), 5, 1 / 3, rng.random())
        for minute in range(300)
        for group in (A, B, C)
    ]
    alerts = [alert(START + 100, changed_at=when(START + 30)), alert(START + 200, state="closed")]
    how = RoutingSettings(every_us=HOUR_US, min_evidence=1)
    whole = Routing(how).close(closed(rows, START + 300), alerts)
    routing = Routing(how)
    pieces: list[Recommendation] = []
    for minute in range(300):
        emitted = [one for one in alerts if one.updated_at == when(START + minute + 1)]
        pieces += routing.close(closed(rows[3 * minute : 3 * minute + 3], START + minute + 1), emitted)
    assert len(whole) > 4
    assert [to_json(one) for one in pieces] == [to_json(one) for one in whole]
