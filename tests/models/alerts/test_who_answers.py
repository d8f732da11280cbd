"""A change of the rate is no promised alert where those who answer changed at the same time."""

from __future__ import annotations

import numpy as np
import pytest

from models.alerts.leaf_answers import Answers, LeafAnswers
from models.alerts.who_answers import who_answers
from models.messages import NO_VALUES, Closed, Responses, TrialDeltas
from oracle.direct import join_rules
from oracle.live import DAY_S, START_S, Live, call, history, opened, outcome

GROUP = ("support", "large", "v1")
NOTHING = (np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0), list[str]())
START = 20_000 * 1440


def test_the_share_of_answered_calls_is_in_the_sentence_with_both_figures() -> None:
    said = who_answers(Answers(10_000, 1_710, 0), Answers(400, 22, 0), NOTHING)
    assert said is not None
    assert "17.1% of the calls" in said
    assert "5.5% since" in said


@pytest.mark.parametrize(("calls", "answered"), [(400, 66), (400, 55), (40, 3), (20, 0)])
def test_what_may_be_chance_is_no_caveat(calls: int, answered: int) -> None:
    assert who_answers(Answers(10_000, 1_710, 0), Answers(calls, answered, 0), NOTHING) is None


def mix(before: dict[str, tuple[int, int]], since: dict[str, tuple[int, int]]) -> str | None:
    """Failures and trials by source."""
    (f0, n0), (f1, n1) = (np.array([part[name] for name in before], float).T for part in (before, since))
    return who_answers(Answers(0, 0, 0), Answers(0, 0, 0), (f0, n0, f1, n1, list(before)))


def test_verdicts_that_come_from_another_source_are_a_caveat() -> None:
    said = mix({"user": (100, 1000), "judge": (20, 100)}, {"user": (12, 100), "judge": (20, 100)})
    assert said is not None
    assert "source 'judge' gave 9% of the verdicts before the change and 50% since" in said


def test_more_failures_of_a_source_that_reports_nothing_else_are_the_change_itself() -> None:
    before = {"user": (100, 1000), "judge": (20, 900), "reopened": (30, 30), "call": (10, 10)}
    assert mix(before, {"user": (40, 100), "judge": (30, 90), "reopened": (90, 90), "call": (80, 80)}) is None


def minutes(hours: dict[int, tuple[int, int]]) -> LeafAnswers:
    """Calls, and answers two hours after their call, by hour."""
    answers = LeafAnswers()
    for hour, (calls, answered) in hours.items():
        at, none = np.array([START + 60 * hour], np.int32), np.zeros(1, np.int32)
        trials = TrialDeltas(none, at, none, none, none, none, none + calls)
        responses = Responses(none, at, none, none.astype(np.int8), none.astype(np.int16) + 26, none, none + answered)
        through = START + 60 * hour + 60
        closed = Closed(through, [GROUP], trials, NO_VALUES, ("user",), responses=responses)
        answers.add(closed, through - 60, through)
        answers = LeafAnswers(answers.state())
    return answers


def test_shares_are_compared_over_the_same_hours_of_the_day() -> None:
    """By day many calls and few answers, by night few calls and many answers: always so."""
    hours = {hour: (100, 10) if 8 <= hour % 24 < 20 else (10, 30) for hour in range(24 * 8)}
    before, since = minutes(hours).compared({GROUP}, START + 7 * 1440 + 5 * 60, START, START + 7 * 1440 + 60)
    assert before.answered / before.calls == since.answered / since.calls == 3.0
    assert since.wait > 60


def answered(rate_after: float, share_after: float, share: float = 0.3) -> Live:
    """28 days of feedback half an hour after the call; from day 21 on both may change."""
    rng = np.random.default_rng(9)
    calls, outcomes = [], []
    for i, at in enumerate(np.sort(rng.uniform(0, 28, 28 * 400)).tolist()):
        rate, asked = (0.9, share) if at < 21 else (rate_after, share_after)
        calls.append(call(str(i), START_S + at * DAY_S))
        if rng.uniform() < asked:
            said = START_S + at * DAY_S + rng.exponential(1800)
            outcomes.append((said, outcome(str(i), said, success=bool(rng.uniform() < rate))))
    sent = history(calls, [one for _, one in sorted(outcomes, key=lambda each: each[0])])
    live = Live(join_rules(sent.rules))
    live.run(sent, [], [], merged=True)
    return live


@pytest.mark.slow
def test_a_drop_with_steady_answers_keeps_its_promise_and_one_with_fewer_answers_does_not() -> None:
    (steady,) = (one for one in opened(answered(0.65, 0.3).alerts) if one.metric == "success_rate")
    assert (steady.promise is not None, steady.caveat) == (True, None)
    (fewer,) = (one for one in opened(answered(0.65, 0.1).alerts) if one.metric == "success_rate")
    assert fewer.promise is None
    assert "of the calls were answered before the change" in str(fewer.caveat)
    assert fewer.reason.endswith(str(fewer.caveat))
