"""Makes inputs for the fuzzer, and mutates them as JSON.

An input is two bytes of settings, then the value of a message. Coverage-guided mutation of bytes alone rarely gets
beyond `not_json`; so in about half of the cases members of a record, or of an object within it, are replaced, doubled,
renamed or dropped instead, or the record is wrapped in an envelope.
"""

from __future__ import annotations

import base64
import json
import random
from typing import Any, Final
from zlib import crc32

from aftercall.events import MAX_DOCUMENTS, AgentCall, Attempt, Document, Outcome, Rollout, ToolCall
from aftercall.vocabulary import MAX_ATTEMPTS
from benchmarks.fuzz_target import GOOD, Message
from connectors.decode.decoder import CALL, OUTCOME

_STRUCTURED: Final = b"application/cloudevents+json"
_HEADERS: Final[tuple[list[tuple[str, Any]] | None, ...]] = (
    None,
    [("content-type", _STRUCTURED)],
    [("trace", b"\xff"), ("Content-Type", _STRUCTURED.upper() + b"; charset=UTF-8")],
    [("content-type", None), ("ce_id", b"1")],
)
_KEYS: Final = (None, b"c1", b"\xff\xfe", b"k" * 300)
_PLENTY: Final = (0, 0, 0, 0, 0, 300, 9_000, 70_000)
"""The number of characters that replace the first `~`, so that texts over a limit need not grow byte by byte."""
_TOO_MUCH, _SELDOM = 255, 32
"""The second byte that requests a record over 1 MiB; one in `_SELDOM` such inputs gets it, as those take long."""
_NAMES: Final = (
    sorted({*AgentCall.model_fields, "new", "Call_id", ""}),
    sorted({*Outcome.model_fields, "new", "Type", ""}),
)
_INNER: Final = sorted({name for part in (ToolCall, Document, Attempt, Rollout) for name in part.model_fields})
_HOLE: Final = "@@hole@@"
"""In place of a member of an inner object that a token is to take."""
_DOCUMENTS: Final = ",".join(f'{{"id":"d{number}"}}' for number in range(MAX_DOCUMENTS + 1))
_ATTEMPTS: Final = ",".join('{"model":"m"}' for _ in range(MAX_ATTEMPTS + 1))
TOKENS: Final = (
    *("null", "true", "false", "{}", "[]", '""', '"~"', '"judge"', '"call"', '"outcome"', '"silence"', '"retract"'),
    *('"last"', '"all"', '"root"', '"descendants"', '"session:u1"', '"s1"'),
    *(
        "0",
        "-0",
        "-1",
        "1",
        "17",
        "812.0",
        "0.5",
        "1e12",
        "1e999",
        "-1e999",
        "NaN",
        "-Infinity",
        "1" * 30,
        "9223372036854775808",
    ),
    *('"2026-03-01T12:00:00Z"', '"2026-03-01T12:00:00.123456789+01:00"', '"2026-06-01T00:05:00.000001Z"'),
    *('"1999-12-31T23:59:59Z"', '"2026-02-30T12:00:00Z"', '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"'),
    *('"2026-03-01T12:00:00,5Z"', '"2026-03-01t12:00:00z"', '"２026-03-01T12:00:00Z"', '"2026-03-01T12:00:00\\n"'),
    *('" m\\u200b"', '" * "', '"e\\u0301"', '{"a":1,"b":{"c":[]}}'),
    *('"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\u0069nput"', '"\xe4~"', "[" * 250 + "]" * 250),
    *('{"a":1,"a":"b"}', '{"a":[1]}', '{"a":1e999}', '{"a":"~"}', '{"~":1}', '{"\\ud800":1}'),
    *(
        '[{"name":"t","ok":true,"attempts":2,"latency_ms":1.5,"error":null}]',
        '[{"attempts":-1,"input":"s"}]',
        "[1]",
        '[{"x":~}]',
    ),
    *('{"id":"r","arm":"canary","step":1}', '{"id":"r","arm":"other"}', '{"arm":"baseline"}'),
    *('"ann"', '"judge-prompt@v3"', "0.4", "0.6", "4", "-0.5", '"secret"', f'"{"é secret " * 12}"'),
    *(
        '[{"name":"t","partial":true,"empty":false,"items":3,"documents":[{"id":"d"}]}]',
        '[{"items":["a","b"],"documents":[{"id":7,"version":"1","data_at":"2026-03-01T12:00:00Z"}]},{"items":0}]',
        '[{"partial":1},{"empty":"yes"}]',
        '[{"documents":[{"id":""}],"data_at":"2026-02-30T12:00:00Z"}]',
        '[{"input":"a secret","output":"é~","error":"secret"}]',
        f'[{{"documents":[{_DOCUMENTS}]}}]',
        f"[{_ATTEMPTS}]",
        '[{"model":" m\\u200b","config":"","error":"429","latency_ms":1,"cost_usd":0.5}]',
        '[{"model":"*","error":"e"}]',
        '[{"config":"c"}]',
        "[{}]",
        "[null]",
        '{"id":1,"arm":"canary","step":2.0}',
    ),
)
_BYTES: Final = b'\x00\x7f\x80\xc3\xed\xff"{}[],:\\ 1-~eE.'


def message(data: bytes) -> Message:
    """The message for an input of the fuzzer."""
    first, second, value = (*data[:2], 0, 0)[0], (*data[:2], 0, 0)[1], data[2:]
    plenty = 1_100_000 if second == _TOO_MUCH and crc32(data) % _SELDOM == 0 else _PLENTY[second % len(_PLENTY)]
    if plenty:
        value = value.replace(b"~", b"x" * plenty, 1)
    return Message(
        value,
        kind=(CALL, OUTCOME)[first & 1],
        headers=_HEADERS[first >> 2 & 3],
        key=_KEYS[first >> 4 & 3],
        keep_payloads=bool(first & 2),
        keep_texts=bool(first & 64),
    )


def seeds() -> list[bytes]:
    """The first corpus: good records, bare and in envelopes, a full one of each kind, and votes that are cleared."""
    full = (
        (
            b'{"call_id":"c","occurred_at":"2026-03-01T12:00:00.5+01:00","type":"call","task_type":"t","model":"m",'
            b'"config":"v1","segment":"s","session_id":"i","parent_call_id":"p","latency_ms":1.5,"cost_usd":0.01,'
            b'"tokens_in":1,"tokens_out":2,"error":"e","policy_version":"p","recommendation_id":"r","tool_calls":[{"name":'
            b'"t","ok":true,"attempts":2,"latency_ms":1.5,"error":"e","stale":false,"partial":true,"empty":false,'
            b'"items":["i"],"data_at":"2026-03-01T00:00:00Z","documents":[{"id":"d","version":"1","data_at":'
            b'"2026-03-01T00:00:00Z"}],"input":"secret","output":"found"},{"items":0}],"input":"secret",'
            b'"output":"answer","propensity":0.5,"rollout":{"id":"r","arm":"canary","step":1},"attrs":{"a":1},'
            b'"attempts":[{"model":"a","config":"c","error":"e","latency_ms":1,"cost_usd":0.5},{"model":"b"}]}'
        ),
        (
            b'{"outcome_id":"o","call_id":"c","occurred_at":"2026-03-01T12:00:00Z","type":"outcome","source":"judge",'
            b'"author":"a","call_occurred_at":"2026-03-01T11:00:00Z","score":0.5,"action":"retract","retracts":"o0",'
            b'"reason":"r","scorer":"judge@v3","error":"e","attrs":{"a":1}}'
        ),
    )
    vote = b'{"outcome_id":"o","call_id":"c","occurred_at":"2026-03-01T12:00:00Z","source":"s","author":"a",%b}'
    says = (b'"success":null', b'"action":"retract"', b'"score":0.5', b'"success":true,"retracts":"p"')
    made = [bytes([OUTCOME, 0]) + vote % one for one in says]
    made += [bytes([CALL | 64, 0]) + full[CALL], bytes([CALL | 66, 0]) + full[CALL]]
    for kind in (CALL, OUTCOME):
        for record in (GOOD[kind], full[kind]):
            made.append(bytes([kind, 0]) + record)
            made.append(bytes([kind, 0]) + b"\0\0\0\0\1" + record)
            made.append(bytes([kind | 4, 0]) + b'{"specversion":"1.0","id":"1","data":' + record + b"}")
            encoded = base64.b64encode(record)
            made.append(bytes([kind | 8, 0]) + b'{"specversion":"1.0","data_base64":"' + encoded + b'"}')
    return made


def mutated(data: bytes, draw: random.Random) -> bytes:
    """An input with one to three random changes."""
    head, value = bytearray(data[:2].ljust(2, b"\0")), data[2:]
    for _ in range(draw.randint(1, 3)):
        chance = draw.random()
        if chance < 0.15:
            head[draw.randrange(2)] = draw.choice((draw.randrange(256), draw.randrange(8), _TOO_MUCH))
        elif chance < 0.25:
            value = _wrapped(value, draw)
            head[0] = head[0] & ~12 | draw.choice((0, 4, 8, 12))
        elif chance < 0.4:
            value = _turned(value, draw)
        else:
            value = _with_members(value, draw, head[0] & 1)
    return bytes(head) + value


def _with_members(value: bytes, draw: random.Random, kind: int) -> bytes:
    """The record with one member changed; if it is no JSON object, with bytes changed."""
    try:
        members = list(json.loads(value).items())
    except (ValueError, AttributeError, RecursionError):
        return _turned(value, draw) if draw.random() < 0.5 else GOOD[kind]
    if draw.random() < 0.3 and (inner := _objects_in([content for _, content in members])):
        _change(draw.choice(inner), draw)
        return _as_bytes(
            [(json.dumps(name), json.dumps(content, ensure_ascii=False)) for name, content in members], draw
        )
    texts = [(json.dumps(name), json.dumps(content, ensure_ascii=False)) for name, content in members]
    where = draw.randrange(len(texts) + 1)
    match draw.randrange(5):
        case 0 if texts:
            texts.pop(where % len(texts))
        case 1 if texts:
            texts.insert(where, draw.choice(texts))
        case 2 if texts:
            name, _ = texts[where % len(texts)]
            texts[where % len(texts)] = name, draw.choice(TOKENS)
        case 3:
            texts.insert(where, (draw.choice(TOKENS[5:11]), draw.choice(TOKENS)))
        case _:
            texts.insert(where, (json.dumps(draw.choice(_NAMES[kind])), draw.choice(TOKENS)))
    return _as_bytes(texts, draw)


def _objects_in(values: list[Any]) -> list[dict[str, Any]]:
    """The objects within some values, at any depth."""
    found, unseen = list[dict[str, Any]](), list(values)
    while unseen:
        value = unseen.pop()
        if isinstance(value, dict):
            found.append(value)
            unseen += value.values()
        elif isinstance(value, list):
            unseen += value
    return found


def _change(inner: dict[str, Any], draw: random.Random) -> None:
    """Take a member out of an object within a record, or give it another value."""
    if inner and draw.random() < 0.3:
        inner.pop(draw.choice(list(inner)))
    else:
        inner[draw.choice([*_INNER, *inner])] = _HOLE


def _as_bytes(texts: list[tuple[str, str]], draw: random.Random) -> bytes:
    record = "{" + ",".join(f"{name}:{content}" for name, content in texts) + "}"
    return record.replace(f'"{_HOLE}"', draw.choice(TOKENS)).encode("utf-8", "surrogatepass")


def _turned(value: bytes, draw: random.Random) -> bytes:
    """The value with some bytes replaced, inserted or deleted."""
    raw = bytearray(value)
    spot = draw.randrange(len(raw) + 1)
    match draw.randrange(3):
        case 0:
            raw[spot : spot + 1] = bytes([draw.choice(_BYTES)])
        case 1:
            raw[spot:spot] = draw.choice(TOKENS).encode()
        case _:
            del raw[spot : spot + draw.randint(1, 8)]
    return bytes(raw)


def _wrapped(value: bytes, draw: random.Random) -> bytes:
    match draw.randrange(4):
        case 0:
            return bytes([0, *(draw.randrange(256) for _ in range(draw.choice((3, 4, 4, 4, 5))))]) + value
        case 1:
            return b'{"specversion":"1.0","data":' + value + b"}"
        case 2:
            return b'{"data_base64":"' + base64.b64encode(value)[draw.choice((0, 0, 1)) :] + b'"}'
        case _:
            return b'{"data":null,"data_base64":' + json.dumps(value.decode(errors="replace")).encode() + b"}"
