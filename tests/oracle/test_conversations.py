"""Feedback on whole conversations, sent for each call, through join, detectors and alerts: case 05 in small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oracle.direct import join_rules
from oracle.live import DAY_S, START_S, Live, call, history, outcome

DAYS, MODELS, PER_DAY, CALLS = 14, 3, 12, 8


def conversations(*, sessions: bool, apart_s: float = 0.0) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Steady: each conversation is good with 88 %; all its calls get that verdict when it ends, so far apart."""
    rng = np.random.default_rng(6)
    calls, said = [], []
    for number in range(DAYS * MODELS * PER_DAY):
        begin, good = START_S + rng.uniform(0, DAYS * DAY_S), bool(rng.uniform() < 0.88)
        shared = {"session_id": f"s-{number}"} if sessions else {}
        for place in range(CALLS):
            name = f"{number}-{place}"
            calls.append((begin + 90 * place, call(name, begin + 90 * place, model=f"m{number % MODELS}", **shared)))
            at = begin + 90 * CALLS + apart_s * place
            said.append((at, outcome(name, at, success=good)))
    return [row for _, row in sorted(calls, key=_time)], [row for _, row in sorted(said, key=_time)]


def _time(row: tuple[float, dict[str, Any]]) -> float:
    return row[0]


def replayed(*, sessions: bool, apart_s: float = 0.0) -> Live:
    sent = history(*conversations(sessions=sessions, apart_s=apart_s))
    live = Live(join_rules(sent.rules))
    live.run(sent, [], [], merged=True)
    return live


@pytest.mark.slow
def test_one_verdict_for_each_call_of_a_conversation_raises_no_alert_where_calls_name_their_session() -> None:
    known = replayed(sessions=True)
    assert known.tally["outcomes"] == DAYS * MODELS * PER_DAY * CALLS
    assert [alert.reason for alert in known.alerts] == []


@pytest.mark.slow
def test_the_same_without_sessions_raises_none_where_the_verdicts_come_in_one_minute() -> None:
    assert [alert.reason for alert in replayed(sessions=False).alerts] == []


@pytest.mark.slow
def test_where_neither_session_nor_minute_tells_that_it_is_one_verdict_there_are_some() -> None:
    assert len(replayed(sessions=False, apart_s=130.0).alerts) > 0
