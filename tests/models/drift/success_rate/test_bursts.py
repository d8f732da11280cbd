"""Outcomes that one source gives within a minute, of calls that no unit ties together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from models import plain
from models.alarms.alarm import Alarm
from models.drift.detectors import Drift
from models.drift.settings import DriftSettings
from models.drift.success_rate.detector import SuccessRateDetector
from models.messages import NO_VALUES, Closed, SliceTrials, TrialDeltas, UnitTrials

DAY = 1440
START = 20_000 * DAY
EAGER = DriftSettings(false_alarms_per_1000_groups_per_week=50.0, warmup_us=0)
CALM = DriftSettings(false_alarms_per_1000_groups_per_week=1e-100, warmup_us=0)
"""What counts in full raises alarms, after which the counts begin again."""
SOURCES = ("judge", "review")
ONE = ("task", "model", "v1")


class Burst(NamedTuple):
    """Verdicts of a source in a minute; `unit`: that of their calls, 0 where they have none."""

    minute: int
    failures: int
    successes: int
    source: str = "review"
    unit: int = 0


def message(bursts: list[Burst], through: int, *, known: bool = True) -> Closed:
    """What the groups send; `known`: whose verdicts they are."""
    rows: dict[int, list[int]] = {}
    for burst in sorted(bursts):
        counts = rows.setdefault(burst.minute, [0, 0])
        counts[0] += burst.successes
        counts[1] += burst.failures
    minute, successes, failures = np.array([(at, *counts) for at, counts in rows.items()], np.int32).reshape(-1, 3).T
    code = np.zeros(len(minute), np.int32)
    verdicts = [
        (burst.minute, SOURCES.index(burst.source), success, count, burst.unit)
        for burst in bursts
        for success, count in ((0, burst.failures), (1, burst.successes))
        if count
    ]
    at, source, success, count, unit = np.array(sorted(verdicts), np.int64).reshape(-1, 5).T
    none, said = np.zeros(len(at), np.int32), success.astype(np.int8)
    slices = SliceTrials(none, at.astype(np.int32), source.astype(np.int32), said, count.astype(np.int32))
    some = unit > 0
    units = UnitTrials(none[some], slices.minute[some], unit[some].astype(np.uint64), said[some], slices.count[some])
    deltas = TrialDeltas(code, minute, successes, failures, code, code, code)
    closed = Closed(through, [ONE], deltas, NO_VALUES, SOURCES, units=units)
    return closed._replace(slices=slices) if known else closed


def weighed(bursts: list[Burst], *, known: bool = True) -> float:
    """Trials that the group has learned by the end of the day after the last burst."""
    detector = SuccessRateDetector(EAGER)
    last = max(burst.minute for burst in bursts) // DAY * DAY + DAY
    detector.close(message(bursts, last, known=known))
    return float(detector.state()["trials"][2])


def batches(days: int, source: str = "review", *, of_one_opinion: bool = True) -> list[Burst]:
    """Three a day of 30: every third fails, wholly, or each of them by a third."""
    sides = [(30, 0), (0, 30), (0, 30)] if of_one_opinion else [(10, 20), (9, 21), (11, 19)]
    return [Burst(START + day * DAY + 400 * at, *sides[at], source) for day in range(days) for at in range(3)]


def test_batches_of_one_opinion_weigh_one_each_once_that_is_known_and_while_nothing_is_known() -> None:
    known = batches(10)
    for count in (1, 2, 30):
        assert count <= weighed(known[:count]) < 1.1 * count


def test_after_ten_batches_of_one_verdict_alone_the_other_is_not_waited_for() -> None:
    rejected = [Burst(START + day * DAY, 30, 0) for day in range(12)]
    assert weighed(rejected[:10]) < 11
    assert weighed(rejected) == weighed(rejected[:10]) + 60


def test_batches_that_differ_by_chance_count_in_full_once_that_is_known() -> None:
    judged = batches(20, "judge", of_one_opinion=False)
    assert weighed(judged) - weighed(judged[:-9]) == 270


def test_what_one_source_has_shown_says_nothing_of_another() -> None:
    later = [burst._replace(minute=burst.minute + 100) for burst in batches(20, of_one_opinion=True)]
    judged = batches(20, "judge", of_one_opinion=False)
    both = sorted([*later, *judged])
    assert abs(weighed(both) - weighed(later) - weighed(judged)) < 40


def test_batches_tell_nothing_of_those_of_another_size() -> None:
    """Pairs that differ by chance come before each batch; batches agree all the same."""
    singles = [Burst(START + 15 * at, 1 if at % 3 else 2, 1 if at % 3 else 0) for at in range(10 * 96)]
    mixed = sorted([*singles, *(burst._replace(minute=burst.minute + 7) for burst in batches(10))])
    assert weighed(mixed) - weighed(singles) < 1.1 * 30


def test_minutes_whose_calls_have_units_are_left_to_these() -> None:
    at_once = [Burst(START, 0, 1), Burst(START + 10, 5, 5, unit=7)]
    assert weighed(at_once) == weighed(at_once, known=False) == 2.0


def test_what_is_known_of_bursts_outlives_a_restart() -> None:
    def alarms(*, restart: bool) -> tuple[list[Alarm], float]:
        found, drift, all_of = list[Alarm](), Drift(EAGER), batches(20)
        for day in range(20):
            of_day = [burst for burst in all_of if (burst.minute - START) // DAY == day]
            found += drift.close(message(of_day, START + (day + 1) * DAY))
            if restart:
                drift = Drift.from_state(plain.unpack(plain.pack(drift.state())), EAGER)
        return found, float(drift.state()["rates"]["trials"][2])

    assert alarms(restart=True) == alarms(restart=False)


def test_after_a_state_of_before_bursts_were_known_nothing_is_doubted_for_two_weeks() -> None:
    """It knows nothing of what has counted in full so far."""
    detector = SuccessRateDetector(EAGER)
    detector.close(message(batches(3), START + 3 * DAY))
    state = plain.unpack(plain.pack(detector.state()))
    units = {name: value for name, value in state["units"].items() if name != "bursts"}
    units["sizes"] = {name: part[:2] for name, part in units["sizes"].items()}
    older = SuccessRateDetector(CALM, state | {"units": units})
    learned = []
    for day, end in ((3, 4), (4, 18), (18, 19)):
        later = [burst for burst in batches(end) if burst.minute >= START + day * DAY]
        before = float(older.state()["trials"][2])
        older.close(message(later, START + end * DAY))
        learned.append(float(older.state()["trials"][2]) - before)
    assert learned[0] == 90
    # They agree, which is known sooner.
    assert 90 < learned[1] < 14 * 90
    assert learned[2] < 4


def test_intervals_and_what_is_shared_allow_for_batches_of_one_opinion() -> None:
    drift = Drift(EAGER)
    drift.close(message(batches(10), START + 10 * DAY))
    drift.shared()
    later = [burst for burst in batches(11) if burst.minute >= START + 10 * DAY]
    drift.close(message(later, START + 11 * DAY))
    shared = drift.shared()
    assert shared.minute.tolist() == [burst.minute for burst in later]
    assert (shared.excess / 64 > 25 * 30).all()
    assert dict(drift.design_effects())[ONE] > 15
