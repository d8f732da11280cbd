from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import orjson
import pytest

from benchmarks.product.traffic import (
    CALL,
    LONGEST_DELAY_S,
    OUTCOME,
    SOURCES,
    Records,
    Shape,
    calls_for,
    silent_calls,
    traffic,
)
from connectors.batch import Batch
from connectors.decode.decoder import Decoder

CALLS = 4_000


@cache
def made(statements: int) -> Records:
    return traffic(Shape(CALLS, statements, groups=200))


def decoded(records: Records) -> Batch:
    decoder = Decoder(now_us=int(records.arrival_us.max()), max_future_skew_us=0)
    rows = np.arange(len(records))
    return decoder.decode(records.values, records.kinds, np.zeros(len(records), np.int32), rows, ["topic"])


def of_kind(records: Records, kind: int) -> list[dict[str, Any]]:
    return [orjson.loads(records.values[row]) for row in np.flatnonzero(records.kinds == kind).tolist()]


@pytest.mark.parametrize("statements", [1, 2, 3, 5])
def test_every_record_decodes_and_lies_in_the_past_when_it_arrives(statements: int) -> None:
    records = made(statements)
    assert not decoded(records).refused
    assert (np.diff(records.arrival_us) >= 0).all()


@pytest.mark.parametrize("statements", [1, 2, 3, 5])
def test_every_call_has_as_many_statements_as_asked_each_by_another_source(statements: int) -> None:
    calls = {call["call_id"] for call in of_kind(made(statements), CALL)}
    stated = {
        (outcome["call_id"], outcome["source"])
        for outcome in of_kind(made(statements), OUTCOME)
        if outcome.get("action") != "retract" and outcome["call_id"] in calls
    }
    assert len(calls) == CALLS
    assert set(Counter(call_id for call_id, _ in stated).values()) == {statements}
    assert {source for _, source in stated} == set(SOURCES)


def test_about_as_many_records_come_as_asked() -> None:
    for statements in (1, 3):
        assert len(traffic(Shape(calls_for(20_000, statements), statements))) == pytest.approx(20_000, rel=0.01)


def test_there_are_repeats_retractions_and_outcomes_of_unknown_calls_and_all_are_few() -> None:
    records = made(3)
    outcomes = of_kind(records, OUTCOME)
    calls = Counter(call["call_id"] for call in of_kind(records, CALL))
    names = Counter(outcome["outcome_id"] for outcome in outcomes)
    retractions = [outcome for outcome in outcomes if outcome.get("action") == "retract"]
    assert 0 < sum(count == 2 for count in calls.values()) < 0.02 * CALLS
    assert 0 < sum(count == 2 for count in names.values()) < 0.06 * CALLS
    assert {"retracts" in outcome for outcome in retractions} == {True, False}
    assert 0 < sum(outcome["call_id"] not in calls for outcome in outcomes) < 0.03 * CALLS


def test_a_repeat_is_the_same_bytes_as_the_record_it_repeats() -> None:
    records = made(3)
    by_name: dict[str, set[bytes]] = {}
    for value in records.values:
        record = orjson.loads(value)
        by_name.setdefault(record.get("outcome_id") or record["call_id"], set()).add(value)
    assert all(len(values) == 1 for values in by_name.values())


def test_optional_fields_are_set_null_and_absent() -> None:
    calls, outcomes = of_kind(made(1), CALL), of_kind(made(1), OUTCOME)
    for field in ("error", "session_id", "latency_ms", "cost_usd", "config"):
        assert {call.get(field) is None for call in calls} == {True, False}, field
    for field in ("attrs", "tool_calls", "input", "propensity"):
        assert {field in call for call in calls} == {True, False}, field
    assert {"attrs" in outcome for outcome in outcomes} == {True, False}
    assert any(outcome.get("success", 0) is None for outcome in outcomes)


@pytest.mark.parametrize("groups", [1, 10, 300, 10_000])
def test_there_are_as_many_groups_as_asked_once_there_are_enough_calls(groups: int) -> None:
    calls = of_kind(traffic(Shape(CALLS, 1, groups)), CALL)
    seen = {(call["task_type"], call["model"], call.get("config")) for call in calls}
    assert len(seen) <= groups
    assert len(seen) >= min(groups, CALLS) * 0.5


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    shape = Shape(500, 2)
    assert traffic(shape).values == traffic(shape).values != traffic(shape._replace(seed=1)).values


def test_an_outcome_comes_at_most_some_minutes_after_its_call() -> None:
    batch = decoded(made(5))
    at = dict(zip(batch.calls.key.tolist(), batch.calls.at.tolist(), strict=True))
    pairs = zip(batch.outcomes.key.tolist(), batch.outcomes.at.tolist(), batch.outcomes.retract.tolist(), strict=True)
    ages = [stated - at[key] for key, stated, retract in pairs if key in at and not retract]
    assert -1_000 <= min(ages) <= max(ages) <= (LONGEST_DELAY_S + 1) * 1e6


def test_silent_calls_are_calls_alone_at_an_even_rate() -> None:
    parts = list(silent_calls(Shape(150_000, per_s=500.0)))
    assert [len(part) for part in parts] == [100_000, 50_000]
    assert all((part.kinds == CALL).all() for part in parts)
    assert len({key for part in parts for key in part.keys}) == 150_000
    assert not decoded(parts[1]).refused
    assert parts[1].arrival_us[-1] - parts[0].arrival_us[0] == pytest.approx(300e6, rel=1e-4)


def test_a_span_of_records_holds_what_arrives_in_it() -> None:
    records = made(1)
    middle = int(records.arrival_us[len(records) // 2])
    early, late = records.between(0, middle), records.between(middle, 2**62)
    assert len(early) + len(late) == len(records)
    assert early.arrival_us.max() < middle <= late.arrival_us.min()
