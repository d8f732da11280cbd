"""Checks that any Kafka message is accepted, or refused with a valid dead letter."""

from __future__ import annotations

import json
from contextlib import suppress
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from pydantic import ValidationError
from xxhash import xxh3_64_intdigest

from aftercall.events import MAX_RECORD_BYTES, AgentCall, Outcome
from aftercall.records import DEAD_LETTER_REASONS, DeadLetter, to_json
from aftercall.times import parse_time
from aftercall.wire_parts import MAX_TEXT
from connectors.batch import Batch, Calls, Outcomes
from connectors.dead_letters import CUT_MARK, MAX_PAYLOAD_BYTES, REDACTED, dead_letter, topic_origin
from connectors.decode.contents import BITS
from connectors.decode.decoder import CALL, OUTCOME, Decoder
from connectors.decode.structs import CallRecord, OutcomeRecord
from connectors.decode.text_keeper import TextKeeper
from connectors.kafka.envelopes import key_text, payload

NOW_US: Final = parse_time("2026-06-01T00:00:00Z")
SKEW_US: Final = 300_000_000
GOOD: Final = (
    b'{"call_id":"c1","occurred_at":"2026-03-01T12:00:00Z","task_type":"triage","model":"m"}',
    b'{"outcome_id":"o1","call_id":"c1","occurred_at":"2026-03-01T12:00:00Z","source":"judge","success":true}',
)
_MODELS: Final = (AgentCall, Outcome)
_FIELDS: Final = (CallRecord.__struct_fields__, OutcomeRecord.__struct_fields__)
_SHARE, _MOST_BYTES, _SECRET = 0.5, 64, "secret"
_KEEPER: Final = TextKeeper(_SHARE, _MOST_BYTES, [_SECRET])
_DECODERS: Final = {
    (keep, texts): Decoder(
        now_us=NOW_US, max_future_skew_us=SKEW_US, keep_payloads=keep, texts=_KEEPER if texts else None
    )
    for keep in (False, True)
    for texts in (False, True)
}
_LONGEST_DETAIL: Final = 1_000


class Message(NamedTuple):
    """A message as the client hands it over, and the settings of the pipeline."""

    value: bytes
    kind: int
    headers: list[tuple[str, Any]] | None = None
    key: bytes | None = None
    keep_payloads: bool = False
    keep_texts: bool = False


def check(message: Message) -> str:
    """Decode a message as the pipeline does; returns `call`, `outcome` or the slug of its refusal.

    Raises:
        AssertionError: a check fails. Any other exception is a defect too.
    """
    raw = payload(message.value, message.headers)
    batch = _decoded(raw, message)
    read: tuple[tuple[str, Any], ...] = (("call", batch.calls), ("outcome", batch.outcomes), ("outcome", batch.said))
    accepted = [(name, columns) for name, columns in read if 1 in columns.pos]
    assert batch.records == 3 == sum(len(columns.pos) for _, columns in read) + len(batch.refused)
    assert len(batch.refused) + len(accepted) == 1, "both or neither; or a neighbour was refused"
    want = _expected(raw, message.kind)
    assert (want is None) == bool(batch.refused), "pydantic decides otherwise"
    if accepted:
        name, columns = accepted[0]
        assert name == ("call", "outcome")[message.kind]
        row = columns.pos.tolist().index(1)
        record = columns.records[row]
        decoded = msgspec.to_builtins(record)
        if columns is batch.outcomes:
            _check_votes(batch.outcomes, row)
        elif columns is batch.said:
            assert columns.session[row] == xxh3_64_intdigest(record.session_id.encode())
        elif want is not None:
            _check_contents(batch.calls, row, want)
            want = _kept(want, message)
        assert repr(decoded) == repr(want), "another value than pydantic's"
        _check_letter("conflict", "a detail as the join might give", raw, message)
        return name
    refused = batch.refused[0]
    assert (refused.offset, refused.raw) == (11, raw)
    _check_letter(refused.reason, refused.detail, raw, message)
    return refused.reason


def _check_votes(outcomes: Outcomes, row: int) -> None:
    """What the join reads of a vote in columns is what its record says."""
    record, nothing = outcomes.records[row], (None, None, "assert")
    bare = (record.success, record.score, record.action) == nothing
    by_record = bare or record.action == "retract" or record.retracts is not None
    assert (outcomes.bare[row], outcomes.retract[row]) == (bare, by_record)
    assert (outcomes.author[row] == 0) == (record.author is None)


def _check_contents(calls: Calls, row: int, want: dict[str, Any]) -> None:
    """What the join reads of which fields a call has, before any of its texts are dropped."""
    given = {name: want.get(name) is not None for name in BITS}
    given["tokens"] = any(want[name] is not None for name in ("tokens", "tokens_in", "tokens_out"))
    given |= {name: bool(want[name]) for name in ("attrs", "attempts")}
    given["tool_calls"] = isinstance(want["tool_calls"], list) and bool(want["tool_calls"])
    filled = int(calls.filled[row])
    assert {name: bool(filled & bit) for name, bit in BITS.items()} == given
    for name, digests in (("session_id", calls.session), ("error", calls.error), ("segment", calls.segment)):
        assert (digests[row] != 0) == (want[name] is not None), name


def _kept(want: dict[str, Any], message: Message) -> dict[str, Any]:
    """The call as it leaves the decoder, by the settings for its texts."""
    if not message.keep_texts:
        return want if message.keep_payloads else {**want, "input": None, "output": None}
    keeps = xxh3_64_intdigest(want["call_id"].encode()) < _SHARE * 2**64
    texts = {name: _kept_text(want[name]) if keeps else None for name in ("input", "output")}
    tools = want["tool_calls"]
    if isinstance(tools, list):
        names = ("input", "output", "error") if keeps else ("input", "output")
        tools = [{**tool, **{name: _kept_text(tool[name]) if keeps else None for name in names}} for tool in tools]
    return {**want, **texts, "tool_calls": tools}


def _kept_text(text: str | None) -> str | None:
    """A text redacted and cut."""
    if text is None:
        return None
    data = text.replace(_SECRET, REDACTED).encode()
    if len(data) <= _MOST_BYTES:
        return data.decode()
    return data[: _MOST_BYTES - len(CUT_MARK)].decode(errors="ignore") + CUT_MARK


def _decoded(raw: bytes, message: Message) -> Batch:
    """Decode the record between two good ones, which it must not affect."""
    kinds = np.array([OUTCOME, message.kind, CALL], np.uint8)
    return _DECODERS[message.keep_payloads, message.keep_texts].decode(
        [GOOD[OUTCOME], raw, GOOD[CALL]], kinds, np.zeros(3, np.int32), np.arange(10, 13), ["t/0"]
    )


def _expected(raw: bytes, kind: int) -> dict[str, Any] | None:
    """The values by pydantic's models, or None if they refuse the record."""
    if len(raw) > MAX_RECORD_BYTES:
        return None
    try:
        raw.decode()
        record = _MODELS[kind].model_validate_json(raw)
    except (ValidationError, UnicodeDecodeError):
        return None
    if parse_time(record.occurred_at) > NOW_US + SKEW_US:
        return None
    values = record.model_dump()
    return {name: values[name] for name in _FIELDS[kind]}


def _check_letter(reason: str, detail: str, raw: bytes, message: Message) -> None:
    """Check that the dead letter fits its limits, survives the wire, and shows no private field."""
    assert reason in DEAD_LETTER_REASONS, reason
    assert detail.strip(), "an empty detail"
    assert "\n" not in detail, "a detail of several lines"
    assert len(detail) <= _LONGEST_DETAIL, "a long detail"
    key, fields = dead_letter(
        reason, detail, topic_origin("t", 0, 11), raw, key_text(message.key), keep_payloads=message.keep_payloads
    )
    assert message.key is not None or len(key) <= MAX_TEXT, "a key that was no id"
    assert (fields["size"], fields["sha256"]) == (len(raw), sha256(raw).hexdigest())
    assert len(fields["payload"].encode()) <= MAX_PAYLOAD_BYTES, "a payload over its limit"
    letter = DeadLetter.sealed(**fields)
    assert DeadLetter.parse(to_json(letter)) == letter, "not what was written"
    key.encode()
    if not message.keep_payloads:
        with suppress(ValueError, RecursionError):
            assert not _private(json.loads(fields["payload"])), "a private field is shown"


def _private(shown: Any) -> bool:
    if isinstance(shown, dict):
        return bool({"input", "output"} & shown.keys()) or any(map(_private, shown.values()))
    return isinstance(shown, list) and any(map(_private, shown))
