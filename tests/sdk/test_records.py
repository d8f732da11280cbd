"""What the pipeline publishes: frozen, sealed by its content, in UTC."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aftercall import (
    Alert,
    Arm,
    DeadLetter,
    FileOrigin,
    Recommendation,
    Record,
    Segment,
    TopicOrigin,
    VerdictRecord,
    alert_id,
    content_hash,
    to_json,
)
from aftercall.records import seal_json

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def verdict(**changes: Any) -> VerdictRecord:
    fields = {
        "seq": 1,
        "call_id": "c1",
        "task_type": "support",
        "model": "m",
        "config": "default",
        "verdict": "success",
        "score": 0.9,
        "source": "judge",
        "outcome_id": "o1",
        "reason": None,
        "decided_at": NOON,
        "age_s": 60.0,
    }
    return VerdictRecord.sealed(**{**fields, **changes})


def alert(**changes: Any) -> Alert:
    fields = {
        "seq": 1,
        "alert_id": alert_id("drift", ("support", "m", None), "success_rate", "down", 1),
        "state": "opened",
        "kind": "drift",
        "severity": "warning",
        "opened_at": NOON,
        "updated_at": NOON,
        "closed_at": None,
        "task_type": "support",
        "model": "m",
        "config": None,
        "metric": "success_rate",
        "direction": "down",
        "baseline": 0.9,
        "current": 0.8,
        "effect_low": -0.15,
        "effect_high": -0.05,
        "changed_at": NOON - timedelta(hours=2),
        "promise": None,
        "reason": "m does worse",
        "evidence": {"trials": 812, "mean": 1034.5, "hours": [1, 2]},
    }
    return Alert.sealed(**{**fields, **changes})


def arm(weight: float, **changes: Any) -> Arm:
    fields = {"p_best": 0.5, "rate": 0.8, "rate_low": 0.7, "rate_high": 0.9, "n": 100, "status": "ok"}
    return Arm(model="m", config="default", weight=weight, **{**fields, **changes})


def recommendation(*arms: Arm, **changes: Any) -> Recommendation:
    fields = {
        "seq": 1,
        "task_type": "support",
        "issued_at": NOON,
        "valid_until": NOON + timedelta(hours=6),
        "segments": [Segment(segment=None, arms=list(arms))],
        "degraded": [],
        "reason": "as before",
    }
    return Recommendation.sealed(**{**fields, **changes})


def dead_letter(**changes: Any) -> DeadLetter:
    fields = {
        "reason": "not_json",
        "detail": "line 3 is not JSON",
        "origin": FileOrigin(file="calls.jsonl", line=3),
        "size": 9,
        "sha256": "0" * 64,
        "payload": "{",
    }
    return DeadLetter.sealed(**{**fields, **changes})


RECORDS: list[Record] = [verdict(), alert(), recommendation(arm(0.25), arm(0.75)), dead_letter()]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_reads_back_from_its_json_as_itself(record: Record) -> None:
    assert type(record).parse(to_json(record)) == record


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_event_id_is_the_hash_of_the_json_without_it(record: Record) -> None:
    whole = to_json(record)
    body = b"{" + whole.split(b",", 1)[1]
    assert record.event_id == blake2b(body, digest_size=16).hexdigest()
    assert seal_json(body) == whole


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_fields_of_a_newer_pipeline_pass_when_read_and_are_refused_when_built(record: Record) -> None:
    newer = {**json.loads(to_json(record)), "added_later": 1}
    assert type(record).parse(json.dumps(newer)) == record
    with pytest.raises(ValidationError, match="added_later"):
        type(record)(**newer)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_cannot_be_changed(record: Record) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        record.event_id = "0" * 32  # type: ignore[misc]


@given(score=st.floats(allow_nan=False, allow_infinity=False), reason=st.text(max_size=20), seq=st.integers(0, 2**60))
def test_equal_content_has_equal_event_ids_and_other_content_others(score: float, reason: str, seq: int) -> None:
    record = verdict(score=score, reason=reason, seq=seq)
    assert record.event_id == verdict(score=score, reason=reason, seq=seq).event_id
    assert record.event_id != verdict(score=score, reason=reason, seq=seq + 1).event_id
    assert record.event_id != verdict(score=score, reason=reason + "x", seq=seq).event_id


@given(
    st.datetimes(min_value=datetime(2000, 1, 2), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive
    st.integers(-23 * 60, 23 * 60),
)
def test_times_are_utc_with_z_whatever_zone_they_were_given_in(naive: datetime, offset_min: int) -> None:
    there = naive.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    record = verdict(decided_at=there)
    written = json.loads(to_json(record))["decided_at"]
    assert written.endswith("Z")
    assert datetime.fromisoformat(written) == there
    assert record == verdict(decided_at=there.astimezone(UTC))
    assert record == verdict(decided_at=there.isoformat(timespec="microseconds"))


@pytest.mark.parametrize("value", [datetime(2026, 3, 1), "2026-03-01T12:00:00", "2026-03-01", 1_772_366_400, True])  # noqa: DTZ001
def test_a_time_without_a_zone_or_as_a_number_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="decided_at"):
        verdict(decided_at=value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_are_finite(number: float) -> None:
    with pytest.raises(ValidationError, match="finite"):
        verdict(score=number)
    with pytest.raises(ValidationError, match="finite"):
        alert(evidence={"mean": number})


def test_the_weights_of_a_segment_sum_to_one() -> None:
    thirds = recommendation(arm(1 / 3), arm(1 / 3), arm(1 / 3))
    assert len(thirds.segments[0].arms) == 3
    with pytest.raises(ValidationError, match="must sum to 1"):
        recommendation(arm(0.5), arm(0.4))


def test_an_arm_without_evidence_has_no_rate() -> None:
    bare = arm(1.0, p_best=None, rate=None, rate_low=None, rate_high=None, n=0, status="exploring")
    assert json.loads(to_json(recommendation(bare)))["segments"][0]["arms"][0]["rate"] is None


def test_recommendation_id_follows_the_content() -> None:
    first = recommendation(arm(1.0))
    assert first.recommendation_id == recommendation(arm(1.0)).recommendation_id
    assert first.recommendation_id != first.event_id
    assert first.recommendation_id != recommendation(arm(1.0), seq=2).recommendation_id
    assert recommendation(arm(1.0), recommendation_id="a" * 32).recommendation_id == "a" * 32


def test_an_alert_id_distinguishes_roll_ups_and_ordinals() -> None:
    ids = {
        alert_id("drift", group, "success_rate", direction, ordinal)
        for group in (("t", None, None), ("t", "m", None), ("t", "m", ""), ("t", "m", "c"))
        for direction in ("up", "down")
        for ordinal in (1, 2)
    }
    assert len(ids) == 16


def test_a_hash_distinguishes_moved_boundaries() -> None:
    assert len({content_hash("ab", "c"), content_hash("a", "bc"), content_hash("abc"), content_hash("abc", None)}) == 4


def test_a_dead_letter_points_to_a_topic_or_a_file() -> None:
    from_topic = dead_letter(origin={"topic": "agent.calls", "partition": 0, "offset": 7}, payload=None)
    assert from_topic.origin == TopicOrigin(topic="agent.calls", partition=0, offset=7)
    with pytest.raises(ValidationError, match="line"):
        dead_letter(origin={"file": "calls.jsonl", "line": 0})


def test_hashes_are_pinned_so_that_no_version_changes_them_unawares() -> None:
    # Consumers drop repeats by event_id and routers have logged ids of recommendations and alerts.
    assert verdict().event_id == "02b6d79aece71ea087e694bb7d10de5f"
    assert alert().alert_id == "0df61c565edf1fa9fc572858f14fdc6b"
    assert recommendation(arm(1.0)).recommendation_id == "655d57b8f1b65c3d75477144d54151b7"
