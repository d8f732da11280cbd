"""The laws of `models.drift.detectors.Detector`, for every detector of the table: a new one needs only a case here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest

from aftercall.records import Direction
from aftercall.times import MINUTE_US
from models import plain
from models.alarms.alarm import Alarm
from models.alarms.digits import significant
from models.alarms.rule_alerts import RuleAlert
from models.drift.detectors import DETECTORS, Detector, Drift, DriftSettings
from models.messages import NO_TRIALS, NO_VALUES, Closed, Responses, TrialDeltas, Values
from models.side_messages import CheckedRule, CheckTrials, OpinionTrials
from models.state import StateError
from simulated.trials import DAY, HOUR, START, simulate

RULE = CheckedRule("refund", "3", "fast", "latency")
SETTINGS = DriftSettings(warmup_us=0, sources=("user",), rules={RULE[:3]: RuleAlert("rate", "warning")})
GROUP = ("refund", "atlas", "v1")


class Case(NamedTuple):
    """What a detector is tried on.

    Attributes:
        stream: all minutes of a stationary stream (False), or of one with a clear change that ends (True).
        direction: of the change.
        evidence: a number that is in the evidence of the alarm on it.
        before: detectors whose alarms it needs, for one that raises none itself.
    """

    stream: Callable[[bool], Closed]
    direction: Direction
    evidence: str
    before: tuple[str, ...] = ()


def outcomes(changed: bool) -> Closed:  # noqa: FBT001
    """Six days of 500 outcomes; the success rate falls by 30 points on the fifth."""
    levels = [(0, 0.9), (4 * DAY, 0.6 if changed else 0.9), (5 * DAY, 0.9)]
    return simulate({GROUP: levels}, 6 * DAY, every=10, per_day=500.0).between(0, 6 * DAY)


def values(days: int, per_hour: float, doubled: tuple[int, int]) -> Closed:
    """Latencies; from one day to the other they double."""
    rng = np.random.default_rng(1)
    minute = np.sort(rng.integers(0, days * DAY, int(per_hour * 24 * days))).astype(np.int32)
    begin, end = doubled
    median = np.where((minute >= begin * DAY) & (minute < end * DAY), 1600.0, 800.0)
    latency = median * np.exp(rng.normal(0, 0.4, len(minute)))
    at, nothing = (START + minute).astype(np.int64) * MINUTE_US, np.full(len(minute), np.nan)
    code, key = np.zeros(len(minute), np.int32), np.arange(len(minute), dtype=np.uint64)
    columns = Values(code, (START + minute).astype(np.int32), at, key, latency, nothing, np.full(len(minute), -1))
    return Closed(START + days * DAY, [GROUP], NO_TRIALS, columns)


def calls(changed: bool) -> Closed:  # noqa: FBT001
    """Three weeks of 40 calls an hour; none on the last day but one."""
    minute = np.arange(0, 21 * DAY, 15)
    count = np.random.default_rng(2).poisson(10, len(minute)).astype(np.int32)
    minute, count = (column[(minute // DAY != 19) | (not changed)] for column in (minute, count))
    none = np.zeros(len(minute), np.int32)
    trials = TrialDeltas(none, (START + minute).astype(np.int32), none, none, none, none, count)
    return Closed(START + 21 * DAY, [GROUP], trials, NO_VALUES)


def answers(changed: bool) -> Closed:  # noqa: FBT001
    """Twelve days of two arms, half of whose calls are answered within the hour; those of one not for two days."""
    hour = np.repeat(np.arange(12 * 24), 2)
    code = np.tile(np.arange(2, dtype=np.int32), 12 * 24)
    minute, none, ten = (START + hour * HOUR).astype(np.int32), 0 * code, 0 * code + 10
    trials = TrialDeltas(code, minute, none, none, none, none, 2 * ten)
    kept = (code == 0) | (hour // 24 < 8) | (hour // 24 >= 10) | (not changed)
    late, good = (none + 20).astype(np.int16), (none + 1).astype(np.int8)
    responses = Responses(*(column[kept] for column in (code, minute + 30, none, good, late, ten, none)))
    names = [GROUP, (GROUP[0], GROUP[1], "v2")]
    return Closed(START + 12 * DAY, names, trials, NO_VALUES, ("user",), responses=responses)


def opinions(changed: bool) -> Closed:  # noqa: FBT001
    """The same outcomes as opinions of a source, which decides nothing."""
    closed = outcomes(changed)
    t, count = closed.trials, len(closed.trials.code)
    said = np.stack((t.trial_failures, t.trial_successes), axis=1).ravel()
    some = np.flatnonzero(said)
    rows, success = np.arange(count).repeat(2)[some], np.tile(np.array([0, 1], np.int8), count)[some]
    none = np.zeros(len(rows), np.int32)
    delay, unit = none.astype(np.int16), none.astype(np.uint64)
    table = OpinionTrials(t.code[rows], t.minute[rows], none, success, delay, unit, said[some])
    return closed._replace(trials=NO_TRIALS, sources=("user",), opinion_trials=table)


def checks(changed: bool) -> Closed:  # noqa: FBT001
    """The same outcomes as checks of a rule."""
    closed = outcomes(changed)
    t = closed.trials
    table = CheckTrials(t.code, t.minute, 0 * t.code, t.trial_successes, t.trial_failures)
    return closed._replace(trials=NO_TRIALS, rules=(RULE,), checks=table)


CASES = {
    "rates": Case(outcomes, "down", "mean_r"),
    "opinion": Case(outcomes, "down", "adwin_rate", before=("rates",)),
    "numeric": Case(lambda changed: values(7, 40.0, (3, 5) if changed else (0, 0)), "up", "values_since"),
    "quantiles": Case(lambda changed: values(19, 8.0, (15, 17) if changed else (0, 0)), "up", "level"),
    "volume": Case(calls, "down", "expected"),
    "arms": Case(answers, "down", "expected"),
    "sources": Case(opinions, "down", "mean_r"),
    "contracts": Case(checks, "up", "mean_r"),
}
every_detector = pytest.mark.parametrize("name", DETECTORS)


class Chain:
    """A detector behind those whose alarms it needs."""

    def __init__(self, name: str, state: Sequence[dict[str, Any]] | None = None) -> None:
        names = (*CASES[name].before, name)
        states = [None] * len(names) if state is None else state
        self._detectors: list[Detector] = [
            DETECTORS[one](SETTINGS, kept) for one, kept in zip(names, states, strict=True)
        ]

    def close(self, closed: Closed, alarms: Sequence[Alarm] = ()) -> list[Alarm]:
        found = list(alarms)
        for detector in self._detectors:
            found = detector.close(closed, found)
        return found

    def state(self) -> list[dict[str, Any]]:
        return [detector.state() for detector in self._detectors]


@cache
def stream(name: str, *, changed: bool) -> Closed:
    return CASES[name].stream(changed)


@cache
def whole(name: str) -> list[Alarm]:
    """All alarms on the change, from one message."""
    return Chain(name).close(stream(name, changed=True))


def between(closed: Closed, begin: int, end: int) -> Closed:
    """The part of a message with minutes `begin` <= minute < `end`."""

    def part(columns: Any) -> Any:
        rows = slice(*np.searchsorted(columns.minute, (begin, end)).tolist())
        return type(columns)(*(column[rows] for column in columns))

    outcome_tables = ("trials", "delays", "slices", "responses", "failed", "units", "opinion_trials")
    tables = (*outcome_tables, "values", "scores", "checks")
    return closed._replace(through=end, **{name: part(getattr(closed, name)) for name in tables})


def cuts(closed: Closed, seed: int) -> list[int]:
    """Where messages end: every eleven hours, so also while an alarm is open, and a minute or an hour after another."""
    inner = np.random.default_rng(seed).integers(START, closed.through - HOUR, 12).tolist()
    close = [*(cut + 1 for cut in inner[:4]), *(cut + HOUR for cut in inner[4:8])]
    return sorted({START, closed.through, *range(START, closed.through, 11 * HOUR), *inner, *close})


def in_parts(name: str, seed: int) -> list[tuple[Closed, list[Alarm]]]:
    """Messages with the alarms on each."""
    closed, chain = stream(name, changed=True), Chain(name)
    parts = [between(closed, begin, end) for begin, end in pairwise(cuts(closed, seed))]
    return [(part, chain.close(part)) for part in parts]


def by_series(alarms: Sequence[Alarm]) -> dict[Any, list[Alarm]]:
    found: dict[Any, list[Alarm]] = {}
    for alarm in alarms:
        found.setdefault(alarm.series, []).append(alarm)
    return found


def test_every_detector_has_a_case() -> None:
    assert CASES.keys() == DETECTORS.keys()


def test_the_step_runs_every_detector_in_the_order_of_the_table() -> None:
    assert list(Drift().state()) == list(DETECTORS)
    for name, case in CASES.items():
        order = list(DETECTORS)
        assert all(order.index(before) < order.index(name) for before in case.before)


@every_detector
def test_a_clear_change_raises_an_alarm_in_its_direction_and_its_end_another(name: str) -> None:
    first = whole(name)[0]
    assert first.direction == CASES[name].direction
    assert CASES[name].evidence in first.evidence
    assert (first.again, first.ends) == (False, None)
    assert (first.current > first.baseline) == (first.direction == "up")
    over = by_series(whole(name))[first.series][-1]
    assert over.direction != first.direction
    assert over.ends is not None
    assert over.ends.opened_at == first.at


@every_detector
def test_a_stationary_stream_raises_nothing(name: str) -> None:
    assert Chain(name).close(stream(name, changed=False)) == []


@every_detector
def test_minutes_without_events_raise_nothing(name: str) -> None:
    chain = Chain(name)
    for through in (-(2**63), START, START + 1, START + 400 * DAY):
        assert chain.close(Closed(through, [], NO_TRIALS, NO_VALUES)) == []


@every_detector
@pytest.mark.parametrize("seed", [1, 2])
def test_cuts_of_minutes_into_messages_change_nothing(name: str, seed: int) -> None:
    found = [alarm for _, alarms in in_parts(name, seed) for alarm in alarms]
    assert by_series(found) == by_series(whole(name))


@every_detector
def test_a_resumed_detector_goes_on_as_if_nothing_had_happened(name: str) -> None:
    closed, chain, found = stream(name, changed=True), Chain(name), list[Alarm]()
    for begin, end in pairwise(cuts(closed, 3)):
        found += chain.close(between(closed, begin, end))
        chain = Chain(name, plain.unpack(plain.pack(chain.state())))
    assert by_series(found) == by_series(whole(name))


@every_detector
def test_alarms_are_at_the_end_of_a_minute_of_their_message_and_in_order_of_time(name: str) -> None:
    begin = START
    for part, alarms in in_parts(name, 4):
        for alarm in alarms:
            assert alarm.at % MINUTE_US == 0
            assert begin * MINUTE_US < alarm.at <= part.through * MINUTE_US
            assert alarm.changed_at <= alarm.at <= part.through * MINUTE_US
        for of_series in by_series(alarms).values():
            assert [alarm.at for alarm in of_series] == sorted(alarm.at for alarm in of_series)
        begin = part.through


@every_detector
def test_numbers_of_alarms_are_finite_and_evidence_has_six_digits(name: str) -> None:
    for alarm in whole(name):
        numbers = (alarm.baseline, alarm.current, alarm.effect_low, alarm.effect_high, alarm.promise)
        assert all(number is None or math.isfinite(number) for number in numbers)
        assert all(math.isfinite(value) and significant(value) == value for value in alarm.evidence.values())
        assert all(type(value) is float for value in (alarm.baseline, alarm.current, *alarm.evidence.values()))


@every_detector
def test_alarms_of_the_detectors_before_it_are_handed_on_in_order(name: str) -> None:
    probe = whole("volume")[0]
    handed = [probe._replace(at=(START + minute) * MINUTE_US) for minute in (5, 3)]
    found = Chain(name).close(between(stream(name, changed=True), START, START + HOUR), handed)
    assert found == handed


@every_detector
def test_a_state_names_no_class_of_this_repository(name: str) -> None:
    chain = Chain(name)
    chain.close(stream(name, changed=True))
    stored = plain.pack(chain.state())
    assert not [room for room in (b"models.", b"aftercall", b"simulated") if room in stored]


@every_detector
def test_a_state_with_detectors_of_another_river_is_refused_with_a_sentence(name: str) -> None:
    chain = Chain(name)
    chain.close(stream(name, changed=True))
    *before, state = chain.state()
    assert (state.get("river") is not None) == (name in {"opinion", "numeric"})
    if "river" in state:
        with pytest.raises(StateError, match=r"river 0\.1\.0; .*river==0\.1\.0"):
            Chain(name, [*before, state | {"river": "0.1.0"}])
