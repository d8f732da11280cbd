"""Where outcomes come in bursts without units the promise holds, and drops are found."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection.bursts import PROMISE, STREAMS, Stream, Trials, alarms, drawn

pytestmark = [pytest.mark.statistics, pytest.mark.slow]

AGREE, HALF, RARE, NONE_AGREES, JUDGE = (STREAMS[at] for at in (0, 2, 5, 6, 7))
GROUPS, DAYS = 36, 28


def steady(stream: Stream, seed: int) -> Trials:
    return drawn(stream, np.random.default_rng(seed), GROUPS, DAYS)


@pytest.mark.parametrize("stream", [AGREE, HALF, RARE], ids=lambda stream: stream.name)
def test_bursts_that_agree_raise_no_more_alarms_than_promised_where_each_outcome_in_full_would(stream: Stream) -> None:
    trials = steady(stream, 1)
    assert len(alarms(trials, GROUPS, DAYS, "in full", PROMISE)) > 15
    # 3.2 are promised.
    assert len(alarms(trials, GROUPS, DAYS, "shipped", PROMISE)) <= 3


@pytest.mark.parametrize("stream", [NONE_AGREES, JUDGE], ids=lambda stream: stream.name)
def test_bursts_of_independent_outcomes_raise_the_alarms_that_they_would_one_by_one(stream: Stream) -> None:
    trials = drawn(stream, np.random.default_rng(2), 12, 26, (21, 0.2))
    found = [[(alarm.at, alarm.series) for alarm in alarms(trials, 12, 26, way, 1.0)] for way in ("shipped", "in full")]
    assert len(found[0]) >= 11
    assert found[0] == found[1]


def test_a_drop_among_bursts_of_one_opinion_is_found_as_with_one_outcome_of_each() -> None:
    trials = drawn(AGREE, np.random.default_rng(3), 12, 42, (21, 0.35))
    found = [len({alarm.series[1] for alarm in alarms(trials, 12, 42, way, 1.0)}) for way in ("shipped", "once")]
    assert found[0] >= max(found[1] - 1, 8)
