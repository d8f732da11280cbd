"""Makes seeded records with what real producers send, in order of arrival.

Optional fields are set, null or absent; calls have `attrs`, tool calls, errors, and payloads that the pipeline drops.
Each call has the same number of statements, each by another source; a few are retracted, sent twice, or name a call
that was never sent. Ids are UUIDs or a provider's, times have several spellings, and a third of the records has the
blanks that Python's `json` writes. Every record decodes: the only dead letters are those of unknown calls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

SEED: Final = 11
CALL, OUTCOME = 0, 1
SOURCES: Final = ("judge", "user_feedback", "contract", "downstream", "human_review")
LONGEST_DELAY_S: Final = 300.0
RETRACTED, REPEATED, REPEATED_CALLS, ORPHANS = 0.02, 0.01, 0.005, 0.003
"""Shares of the statements, and of the calls."""
START_US: Final = 1_772_366_400_000_000
"""2026-03-01T12:00:00Z."""
_MEDIAN_DELAY_S: Final = (2.0, 20.0, 1.0, 30.0, 60.0)
_DELAY_SIGMA: Final = 1.0
_TRANSPORT_S: Final = 0.2
_FAILED: Final = 0.02
_CHUNK: Final = 100_000
_TASKS, _MODELS = 20, 5
_ERRORS: Final = ("provider timed out", "429 Too Many Requests", "context length exceeded: 131,072 tokens at most")
_REASONS: Final = ("the customer wrote again about the same thing", "Betrag stimmt nicht – zurückgewiesen", "ok")
_TEXT: Final = "Summarise the ticket below and propose an answer. The customer asks where the parcel is. " * 4

Ints = NDArray[np.int64]
Record = dict[str, Any]
_T = TypeVar("_T")


class Shape(NamedTuple):
    """What to make.

    Attributes:
        calls: number of calls.
        statements: per call, 1 to 5, each by another source.
        groups: number of (task_type, model, config); the first ones have more calls than the last ones.
        per_s: records per second of event time.
        start_us: event time of the first call.
        seed: of all draws.
        kind: what a share of the calls has, of `benchmarks.product.kinds`; none if empty.
        share: of the calls, 0 to 1, that have it.
    """

    calls: int
    statements: int = 1
    groups: int = 200
    per_s: float = 1000.0
    start_us: int = START_US
    seed: int = SEED
    kind: str = ""
    share: float = 0.0


@dataclass(frozen=True)
class Records:
    """Records in order of arrival: when they arrive (us), CALL or OUTCOME, the call's id, and their bytes."""

    arrival_us: Ints
    kinds: NDArray[np.uint8]
    keys: list[str]
    values: list[bytes]

    def __len__(self) -> int:
        """Number of records."""
        return len(self.values)

    def between(self, from_us: int, until_us: int) -> Records:
        """Those that arrive in this span."""
        first, end = np.searchsorted(self.arrival_us, (from_us, until_us)).tolist()
        part = slice(first, end)
        return Records(self.arrival_us[part], self.kinds[part], self.keys[part], self.values[part])

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write `calls.jsonl` and `outcomes.jsonl`; returns their paths."""
        paths = folder / "calls.jsonl", folder / "outcomes.jsonl"
        for kind, path in enumerate(paths):
            rows = np.flatnonzero(self.kinds == kind).tolist()
            path.write_bytes(b"".join(self.values[row] + b"\n" for row in rows))
        return paths


def records_per_call(statements: int) -> float:
    """Mean number of records, of all kinds, that one call brings."""
    return 1 + REPEATED_CALLS + statements * (1 + RETRACTED + REPEATED + ORPHANS)


def calls_for(records: int, statements: int) -> int:
    """How many calls bring about so many records."""
    return round(records / records_per_call(statements))


def traffic(shape: Shape) -> Records:
    """Calls and their outcomes, in order of arrival."""
    rng = np.random.default_rng(shape.seed)
    seconds = shape.calls * records_per_call(shape.statements) / shape.per_s
    at = shape.start_us + np.sort(rng.uniform(0, seconds, shape.calls) * 1e6).astype(np.int64)
    ids = _call_ids(rng, at)
    calls = _encoded(_calls(rng, ids, at, shape.groups), rng)
    parts = [(CALL, at + _transport(rng, shape.calls), ids, calls)]
    again = np.flatnonzero(rng.random(shape.calls) < REPEATED_CALLS)
    parts.append((CALL, at[again] + 1_500_000, _picked(ids, again), _picked(calls, again)))
    first = rng.integers(0, len(SOURCES), shape.calls)
    for number in range(shape.statements):
        parts += _statements(rng, ids, at, (first + number) % len(SOURCES))
    return in_order(
        [Records(when, np.full(len(keys), kind, np.uint8), keys, values) for kind, when, keys, values in parts]
    )


def in_order(parts: list[Records]) -> Records:
    """All records of several parts, in order of arrival."""
    if len(parts) == 1:
        return parts[0]
    arrival = np.concatenate([part.arrival_us for part in parts])
    order = np.argsort(arrival, kind="stable").tolist()
    kinds = np.concatenate([part.kinds for part in parts])
    keys = [key for part in parts for key in part.keys]
    values = [value for part in parts for value in part.values]
    return Records(arrival[order], kinds[order], _picked(keys, order), _picked(values, order))


def silent_calls(shape: Shape) -> Iterator[Records]:
    """Calls without outcomes, `per_s` calls a second, 100,000 at a time."""
    rng = np.random.default_rng(shape.seed)
    for start in range(0, shape.calls, _CHUNK):
        number = np.arange(start, min(start + _CHUNK, shape.calls))
        at = shape.start_us + (number * 1e6 / shape.per_s).astype(np.int64)
        ids = _call_ids(rng, at)
        values = [orjson.dumps(call) for call in _calls(rng, ids, at, shape.groups)]
        yield Records(at, np.zeros(len(ids), np.uint8), ids, values)


def _statements(
    rng: np.random.Generator, ids: list[str], at: Ints, source: Ints
) -> list[tuple[int, Ints, list[str], list[bytes]]]:
    """One statement about each call, and what follows it: retractions, repeats, and outcomes of unknown calls."""
    count = len(ids)
    stated_at = at + _delays(rng, source)
    names = _outcome_ids(rng, count)
    records = list(_outcomes(rng, names, ids, at, stated_at, source))
    stated = _encoded(records, rng)
    gone = np.flatnonzero(rng.random(count) < RETRACTED)
    gone_at = stated_at[gone] + 1_000_000 + (rng.exponential(20.0, len(gone)) * 1e6).astype(np.int64)
    retracted = _encoded(_retractions(rng, [records[row] for row in gone.tolist()], gone_at), rng)
    again = np.flatnonzero(rng.random(count) < REPEATED)
    lost = np.flatnonzero(rng.random(count) < ORPHANS)
    lost_ids = _call_ids(rng, at[lost] + 777)
    orphans = _outcomes(rng, _outcome_ids(rng, len(lost)), lost_ids, at[lost], stated_at[lost], source[lost])
    return [
        (OUTCOME, stated_at + _transport(rng, count), ids, stated),
        (OUTCOME, gone_at + _transport(rng, len(gone)), _picked(ids, gone), retracted),
        (OUTCOME, stated_at[again] + 2_000_000, _picked(ids, again), _picked(stated, again)),
        (OUTCOME, stated_at[lost] + _transport(rng, len(lost)), lost_ids, _encoded(orphans, rng)),
    ]


def _calls(rng: np.random.Generator, ids: list[str], at: Ints, groups: int) -> Iterator[Record]:
    count = len(ids)
    drawn = zip(
        ids,
        _texts(at),
        (groups * rng.random(count) ** 2).astype(int).tolist(),
        np.round(rng.lognormal(6, 1, count), 1).tolist(),
        np.round(rng.gamma(2, 0.01, count), 6).tolist(),
        rng.integers(200, 8_000, count).tolist(),
        rng.integers(20, 2_000, count).tolist(),
        rng.integers(0, 10_000, count).tolist(),
        (rng.random(count) < _FAILED).tolist(),
        strict=True,
    )
    for call_id, time, group, latency, cost, tokens_in, tokens_out, chance, failed in drawn:
        task, model, config = group % _TASKS, group // _TASKS % _MODELS, group // (_TASKS * _MODELS)
        call: Record = {
            "call_id": call_id,
            "occurred_at": time,
            "task_type": f"task_{task}",
            "model": f"provider/model-{model}",
            "session_id": None if chance % 5 == 0 else f"session-{chance // 2:06d}",
            "latency_ms": None if chance % 23 == 0 else latency,
            "cost_usd": None if chance % 19 == 0 else cost,
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "error": _ERRORS[chance % len(_ERRORS)] if failed else None,
        }
        if config or chance % 2:
            call["config"] = f"prompt-v{config}" if config else None
        _add_rare_fields(call, chance)
        yield call


def _add_rare_fields(call: Record, chance: int) -> None:
    """Add the optional fields that only some producers set; `chance`, below 10,000, decides which."""
    if chance % 2 == 0:
        call["attrs"] = {"region": "eu-west-1", "tenant": f"t-{chance % 97}", "try": 1, "cached": False, "temp": 0.2}
    if chance % 3 == 0:
        call |= {"type": "call", "parent_call_id": None, "trace_id": f"{chance:032x}", "policy_version": "2026-10"}
    if chance % 7 == 0:
        call["tool_calls"] = [{"name": "search", "ok": True, "attempts": 1, "latency_ms": 120.5}, {"name": "crm"}]
    if chance % 11 == 0:
        call |= {"recommendation_id": f"rec-{chance}", "propensity": 0.25}
    if chance % 10 == 0:
        call |= {"input": _TEXT, "output": _TEXT[:120]}


def _outcomes(
    rng: np.random.Generator, names: list[str], ids: list[str], at: Ints, stated_at: Ints, source: Ints
) -> Iterator[Record]:
    """Judges give a score, the other sources a verdict; nine of ten are good."""
    count = len(ids)
    drawn = zip(
        names,
        ids,
        _texts(at),
        _texts(stated_at),
        source.tolist(),
        (rng.random(count) < 0.9).tolist(),
        np.round(rng.uniform(0, 0.3, count), 3).tolist(),
        rng.integers(0, 10_000, count).tolist(),
        strict=True,
    )
    for name, call_id, call_time, time, by, good, offset, chance in drawn:
        outcome: Record = {"outcome_id": name, "call_id": call_id, "occurred_at": time, "source": SOURCES[by]}
        if SOURCES[by] == "judge":
            outcome |= {"score": round(1 - offset if good else 2 * offset, 3), "success": None}
        else:
            outcome["success"] = good
        if chance % 3 == 0:
            outcome |= {"call_occurred_at": call_time, "action": "assert", "error": None}
        if chance % 5 == 0:
            outcome["attrs"] = {"reviewer": f"r-{chance % 31}", "weight": 1.0, "channel": None}
        if chance % 10 == 0:
            outcome["reason"] = _REASONS[chance % len(_REASONS)]
        yield outcome


def _retractions(rng: np.random.Generator, stated: list[Record], at: Ints) -> Iterator[Record]:
    """Half name the statement that they withdraw, half withdraw all of its source."""
    names, texts = _outcome_ids(rng, len(stated)), _texts(at)
    for number, (name, time, record) in enumerate(zip(names, texts, stated, strict=True)):
        retraction = {"outcome_id": name, "call_id": record["call_id"], "occurred_at": time, "action": "retract"}
        yield retraction | ({"retracts": record["outcome_id"]} if number % 2 else {"source": record["source"]})


def _encoded(records: Iterable[Record], rng: np.random.Generator) -> list[bytes]:
    """Two thirds compact and in UTF-8, one third with blanks and escapes, as Python's `json` writes it."""
    encoders: tuple[Callable[[Record], bytes], ...] = (orjson.dumps, orjson.dumps, lambda r: json.dumps(r).encode())
    turn = int(rng.integers(len(encoders)))
    return [encoders[(number + turn) % len(encoders)](record) for number, record in enumerate(records)]


def _call_ids(rng: np.random.Generator, at: Ints) -> list[str]:
    """Four of five are UUIDv7, 48 bits of milliseconds before random bits; the fifth is a provider's."""
    chance = rng.bytes(12 * len(at)).hex()
    ids = []
    for number, ms in enumerate((at // 1000).tolist()):
        digits = chance[24 * number : 24 * number + 24]
        if number % 5:
            ids.append(f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7{digits[:3]}-a{digits[3:6]}-{digits[6:18]}")
        else:
            ids.append(f"chatcmpl-{digits}")
    return ids


def _outcome_ids(rng: np.random.Generator, count: int) -> list[str]:
    """UUIDv4."""
    chance = rng.bytes(16 * count).hex()
    return [
        f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"
        for h in (chance[i : i + 32] for i in range(0, 32 * count, 32))
    ]


def _delays(rng: np.random.Generator, source: Ints) -> Ints:
    median = np.array(_MEDIAN_DELAY_S)[source]
    delay_s = np.minimum(median * rng.lognormal(0, _DELAY_SIGMA, len(source)), LONGEST_DELAY_S)
    return (delay_s * 1e6).astype(np.int64)


def _transport(rng: np.random.Generator, count: int) -> Ints:
    return (rng.exponential(_TRANSPORT_S, count) * 1e6).astype(np.int64)


def _texts(at: Ints) -> list[str]:
    """Times in UTC with microseconds; every fifth with milliseconds, every fifth in another zone."""
    texts: list[str] = np.datetime_as_string(at.astype("datetime64[us]"), timezone="UTC").tolist()
    texts[1::5] = [f"{text[:-4]}Z" for text in texts[1::5]]
    elsewhere = (at[2::5] + 2 * 3_600_000_000).astype("datetime64[us]")
    texts[2::5] = [f"{text}+02:00" for text in np.datetime_as_string(elsewhere).tolist()]
    return texts


def _picked(items: list[_T], rows: Any) -> list[_T]:
    return [items[row] for row in (rows.tolist() if isinstance(rows, np.ndarray) else rows)]
