"""Whatever a message contains is counted or refused with a reason; the small brother of `make fuzz`."""

from __future__ import annotations

import base64
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aftercall.records import DEAD_LETTER_REASONS
from benchmarks import fuzz_inputs
from benchmarks.fuzz_target import GOOD, NOW_US, SKEW_US, Message, check
from connectors.decode.decoder import CALL, OUTCOME, Decoder

ENDS = {"call", "outcome", *DEAD_LETTER_REASONS}
STRUCTURED: list[tuple[str, Any]] = [("content-type", b"application/cloudevents+json")]
kinds = st.sampled_from([CALL, OUTCOME])
keys = st.none() | st.binary(max_size=8)


@st.composite
def near_records(draw: st.DrawFn) -> bytes:
    """A good record after some of the fuzzer's mutations."""
    data, chance = draw(st.sampled_from(fuzz_inputs.seeds())), random.Random(draw(st.integers(0, 2**32)))
    for _ in range(draw(st.integers(1, 6))):
        data = fuzz_inputs.mutated(data, chance)
    return data


@settings(max_examples=150)
@given(value=st.binary(max_size=60), kind=kinds, key=keys, keep_payloads=st.booleans())
@example(value=b"", kind=CALL, key=None, keep_payloads=False)
@example(value=b"\x00", kind=OUTCOME, key=b"\xff", keep_payloads=True)
def test_bytes_are_counted_or_refused_with_a_known_slug(
    *, value: bytes, kind: int, key: bytes | None, keep_payloads: bool
) -> None:
    for headers in (None, STRUCTURED):
        assert check(Message(value, kind, headers, key, keep_payloads)) in ENDS


@pytest.mark.slow
@settings(max_examples=400)
@given(near_records())
def test_mutated_records_are_counted_or_refused_with_a_known_slug(data: bytes) -> None:
    assert check(fuzz_inputs.message(data)) in ENDS


@settings(max_examples=100)
@given(st.binary(max_size=6), kinds)
def test_behind_a_zero_byte_and_four_of_a_schema_id_stands_the_record(schema: bytes, kind: int) -> None:
    end = check(Message(b"\0" + schema + GOOD[kind], kind))
    accepted = len(schema) >= 4 and not schema[4:].strip(b" \t\r\n")  # JSON may begin with blanks
    assert (end in {"call", "outcome"}) == accepted


@settings(max_examples=150)
@given(near_records(), kinds, st.sampled_from(["data", "data_base64"]))
def test_the_record_within_a_cloud_event_ends_as_it_would_alone(data: bytes, kind: int, member: str) -> None:
    record = fuzz_inputs.message(data).value.strip(b" \t\r\n")
    alone = check(Message(record, kind))
    if member == "data":
        enveloped = b'{"specversion": "1.0", "data": ' + record + b"}"
        if alone in {"not_json", "not_utf8", "too_deep", "too_large", "not_finite"} or record[:1] == b"\0":
            check(Message(enveloped, kind, STRUCTURED))  # the envelope itself cannot be read
            return
    else:
        enveloped = b'{"specversion": "1.0", "data_base64": "' + base64.b64encode(record) + b'"}'
        if not record or record[:1] == b"\0":
            check(Message(enveloped, kind, STRUCTURED))
            return
    assert check(Message(enveloped, kind, STRUCTURED)) == alone


@settings(max_examples=60)
@given(st.lists(near_records(), max_size=30))
def test_a_batch_of_anything_adds_up(inputs: list[bytes]) -> None:
    messages = [fuzz_inputs.message(data) for data in inputs]
    count = len(messages)
    batch = Decoder(now_us=NOW_US, max_future_skew_us=SKEW_US).decode(
        [message.value for message in messages],
        np.array([message.kind for message in messages], np.uint8),
        np.zeros(count, np.int32),
        np.arange(count),
        ["p"],
    )
    assert batch.records == count == len(batch.calls.pos) + len(batch.outcomes.pos) + len(batch.refused)
    found = [*batch.calls.pos.tolist(), *batch.outcomes.pos.tolist(), *(item.offset for item in batch.refused)]
    assert sorted(found) == list(range(count))
