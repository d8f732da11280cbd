"""Trials are counted by how many outcomes their conversation had by then, however minutes close."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from aftercall.facets import LENGTH_BOUNDS, SESSION_LENGTH
from models import plain
from models.alerts.alerting import Alerting
from models.alerts.leaf_facets import LeafFacets
from models.alerts.scope import Leaves
from models.drift import Drift
from models.messages import Closed
from models.side_messages import LengthTrials
from simulated.conversations import DAY, EAGER, START, Trial, conversations, message, names
from simulated.trials import for_alerts

DAYS = 4


def lengths(trials: list[Trial], cuts: list[int]) -> list[tuple[Closed, LengthTrials]]:
    """Of detectors that are stored after each message."""
    drift, found = Drift(EAGER), list[tuple[Closed, LengthTrials]]()
    for begin, end in pairwise([START, *sorted(START + cut for cut in cuts), START + (DAYS + 1) * DAY]):
        closed = message([one for one in trials if begin <= one.minute < end], names(), end)
        drift.close(closed)
        found.append((closed, drift.lengths()))
        drift = Drift.from_state(plain.unpack(plain.pack(drift.state())), EAGER)
    return found


def counted(found: list[tuple[Closed, LengthTrials]]) -> Counter[tuple[object, ...]]:
    rows = Counter[tuple[object, ...]]()
    for closed, part in found:
        listed = list(zip(*(column.tolist() for column in part), strict=True))
        assert listed == sorted(listed, key=lambda row: (row[1], row[0], row[2]))
        for code, minute, length, failures, trials in listed:
            rows[closed.names[code], minute, length, "n"] += trials
            rows[closed.names[code], minute, length, "f"] += failures
    return rows


def naive(trials: list[Trial]) -> Counter[tuple[object, ...]]:
    """One trial at a time. A unit begins again at the first midnight that is a day after its first trial."""
    first, outcomes = dict[tuple[int, int], int](), Counter[tuple[int, int]]()
    rows, of_minute = Counter[tuple[object, ...]](), dict[int, list[Trial]]()
    for trial in trials:
        of_minute.setdefault(trial.minute, []).append(trial)
    for minute in sorted(of_minute):
        for key in [key for key, at in first.items() if minute // DAY * DAY - DAY > at]:
            del first[key], outcomes[key]
        for trial in of_minute[minute]:
            first.setdefault((trial.group, trial.unit), minute)
            outcomes[trial.group, trial.unit] += 1
        for trial in of_minute[minute]:
            length = sum(bound <= outcomes[trial.group, trial.unit] for bound in LENGTH_BOUNDS) - 1
            rows[names()[trial.group], minute, length, "n"] += 1
            rows[names()[trial.group], minute, length, "f"] += not trial.success
    return rows


@pytest.mark.parametrize("shared", [0.5, 1.0])
def test_a_trial_counts_by_how_many_outcomes_its_conversation_had_by_then(shared: float) -> None:
    trials = conversations(np.random.default_rng(5), DAYS, 6, shared)
    # One that never ends, and one without a failure in two groups.
    trials = sorted([*trials, *(Trial(START + 500 * at, 0, 9_999, success=True) for at in range(11))])
    whole = counted(lengths(trials, []))
    assert +whole == +naive(trials)
    assert counted(lengths(trials, [777, 1440, 3_000, 3_001])) == whole


def test_alerts_read_them_as_a_facet_however_they_are_cut() -> None:
    trials = conversations(np.random.default_rng(6), DAYS, 6, 0.5)
    stores = []
    for cuts in ([], [1_000, 2_881]):
        store, begin = LeafFacets(), START
        for closed, part in lengths(trials, cuts):
            store.add(closed._replace(lengths=part), begin, closed.through, Leaves(names()))
            store, begin = LeafFacets(store.state()), closed.through
        stores.append(store)
    now = START + (DAYS + 1) * DAY
    read = [store.counts(*(store.between(now, np.full(6, START), now) for _ in "12")) for store in stores]
    for one, other in zip(*read, strict=True):
        np.testing.assert_equal(one, other)
    assert set(read[0].facet) == {SESSION_LENGTH}
    assert {"1", "2 to 3", "4 to 7", "8 and more"} == set(read[0].value)
    assert read[0].before[1].sum() == len(trials)


def test_conversations_that_become_longer_and_fail_more_often_then_are_named_in_the_alert() -> None:
    """Of the first three calls 5 % fail, of later ones 40 %; from the 14th day on conversations have up to twelve."""
    rng, days = np.random.default_rng(8), 18
    trials = list[Trial]()
    for unit in range(6 * 40 * days):
        begin = int(rng.integers(0, days * DAY))
        for call in range(int(rng.integers(1, 13 if begin >= 14 * DAY else 4))):
            failing = 0.05 if call < 3 else 0.4
            trials.append(Trial(START + begin + 3 * call, unit % 6, unit, bool(rng.random() >= failing)))
    drift, stage = Drift(EAGER), Alerting(for_alerts(EAGER))
    closed = message(sorted(trials), names(), START + (days + 1) * DAY)
    alarms = [alarm for alarm in drift.close(closed) if alarm.series[0] == "drift"]
    found = stage.close(closed._replace(shared=drift.shared(), lengths=drift.lengths()), alarms)
    alert = next(one for one in found if one.direction == "down")
    assert alert.mixes[0].dimension == SESSION_LENGTH
    assert alert.mixes[0].high < -0.01
    assert "of the outcomes were of sessions with " in alert.reason
