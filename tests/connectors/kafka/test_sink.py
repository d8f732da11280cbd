"""How outputs find their keys, and what becomes of a refused one. On brokers: `test_sink_*.py`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import blake2b, sha256

from aftercall.records import Alert, DeadLetter, Recommendation, VerdictRecord, to_json
from connectors.kafka.client import producer_config
from connectors.kafka.cluster import Cluster
from connectors.kafka.sink import KafkaSink
from connectors.kafka.undeliverable import refused_output, shortened
from connectors.kafka.writer import KafkaWriter

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG = "ü" * 70_000


def test_parts_are_named_and_chosen_the_same_for_ever() -> None:
    """And nothing is connected before a part is built."""
    sink = KafkaSink(KafkaWriter(producer_config(Cluster(brokers="nowhere:1")), "dead"), "t")
    assert sink.list_parts() == ["p00", "p01", "p02", "p03", "p04", "p05", "p06", "p07", "p08", "p09", "p10", "p11"]
    assert [sink.part_fn(key) for key in ("", "s8", "call-1")] == [0, 1841922132, 3661210240]


def test_a_verdict_without_its_reason_is_still_one() -> None:
    whole = VerdictRecord.sealed(
        seq=1, call_id="c", task_type="t", model="m", config="x", verdict="failure", score=0.1,
        source="judge", outcome_id="o", reason=LONG, decided_at=NOW, age_s=1.5,
    )  # fmt: skip
    short = VerdictRecord.parse(shortened(to_json(whole)) or b"")
    assert short == whole.model_copy(update={"reason": None})


def test_an_alert_without_its_evidence_is_still_one() -> None:
    whole = Alert.sealed(
        seq=1, alert_id="0" * 32, state="opened", kind="drift", severity="info", opened_at=NOW, updated_at=NOW,
        closed_at=None, task_type="t", model=None, config=None, metric="m", direction="up", baseline=None,
        current=None, effect_low=None, effect_high=None, changed_at=None, promise=None, reason=LONG,
        evidence={"a": LONG},
    )  # fmt: skip
    short = Alert.parse(shortened(to_json(whole)) or b"")
    assert short.evidence == {}
    assert len(short.reason) < 300
    assert short.event_id == whole.event_id


def test_a_dead_letter_without_its_payload_is_still_one() -> None:
    whole = DeadLetter.sealed(
        reason="not_json", detail=LONG, origin={"topic": "t", "partition": 0, "offset": 1}, size=9, sha256="0" * 64,
        payload="p" * 60_000,
    )  # fmt: skip
    short = DeadLetter.parse(shortened(to_json(whole)) or b"")
    assert short.payload is None
    assert short.detail.endswith("[cut]")
    assert (short.event_id, short.sha256, short.origin) == (whole.event_id, whole.sha256, whole.origin)


def test_a_recommendation_keeps_its_arms() -> None:
    whole = Recommendation.sealed(
        seq=1, task_type="t", issued_at=NOW, valid_until=NOW, segments=[], degraded=[], reason=LONG
    )
    short = Recommendation.parse(shortened(to_json(whole)) or b"")
    assert short.recommendation_id == whole.recommendation_id
    assert len(short.reason) < 300


def test_where_there_is_nothing_to_leave_out_nothing_is() -> None:
    assert shortened(b'{"n":1}') is None
    assert shortened(b"no json") is None
    assert shortened(b'{"verdict":"success","reason":null}') is None


def test_a_refused_output_is_reported_without_its_content() -> None:
    value = b'{"output":"private"}'
    made = refused_output("agent.verdicts", value, "MSG_SIZE_TOO_LARGE")
    letter = json.loads(made)
    assert b"private" not in made
    assert list(letter) == [name for name in DeadLetter.model_fields if name != "redriven_of"]
    assert (letter["reason"], letter["payload"], letter["origin"]) == ("refused_output", None, None)
    assert (letter["size"], letter["sha256"]) == (20, sha256(value).hexdigest())
    assert "agent.verdicts: the broker refused this output of 20 bytes as MSG_SIZE_TOO_LARGE" in letter["detail"]
    assert made == refused_output("agent.verdicts", value, "MSG_SIZE_TOO_LARGE")
    body = b"{" + made.split(b",", 1)[1]
    assert letter["event_id"] == blake2b(body, digest_size=16).hexdigest()


def test_the_dead_letter_of_a_tombstone_has_no_content() -> None:
    assert json.loads(refused_output("t", None, "INVALID_RECORD"))["size"] == 0
