"""Eighteen days of calls and outcomes with all that makes them hard, the same bytes on every machine and for years.

Nothing but `random.Random.random` is drawn from, whose sequence Python promises to keep, and only sums and products are
made of it. Every partition is in event-time order, so that the result does not depend on how partitions interleave.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, Literal, NamedTuple
from zlib import crc32

Kind = Literal["calls", "outcomes"]
SEED: Final = 20250303
START: Final = datetime(2025, 3, 7, tzinfo=UTC)
"""A Friday: the week of the drop ends before the traffic does."""
HOUR_S, DAY_S = 3_600, 86_400
STEP_S: Final = 20
"""Times are multiples of it: many records share one, and goldens are smaller."""
END_S: Final = 18 * DAY_S
KILL_S: Final = 16 * DAY_S + 6 * HOUR_S
"""Up to here a run has come when it is killed."""
PARTITIONS: Final = 2
HORIZON_S: Final = 5 * DAY_S
HELD_FROM: Final = START + timedelta(seconds=KILL_S - 2 * DAY_S)
"""No call since then has closed when a run is killed: the shortest horizon is two days."""
SETTINGS: Final = """
[join]
horizon = "5d"
idle_after = "1h"
max_lead = "30d"
[task.notify]
horizon = "2d"
silence = "success"
[verdict.source.toxicity]
fail_at = 0.2
[routing]
every = "6h"
valid_for = "12h"
[snapshot]
keep = 1
"""
"""`idle_after`: no partition is idle while a busy machine has yet to read another. `max_lead`: none has to wait."""
_DROP_S: Final = range(14 * DAY_S + 14 * HOUR_S, 17 * DAY_S + 4 * HOUR_S)
"""A model fails far more often; it recovers after the kill."""
_SURGE_S, _SLOW_S, _SILENT_S = 14 * DAY_S, 15 * DAY_S, 15 * DAY_S + 20 * HOUR_S
"""From then on: more calls of one task type, slower and dearer answers of another, a source that sends nothing more."""
_HOURS: Final = (1, 1, 1, 1, 2, 3, 5, 7, 9, 10, 10, 9, 8, 9, 10, 10, 9, 8, 6, 5, 4, 3, 2, 2)
"""How many calls each hour of the day has, against the others."""
_BROKEN: Final = ("{", '"text"', '{"call_id":"x","occurred_at":"soon"}')


class Sent(NamedTuple):
    """A record as it is sent, `at` seconds after the start."""

    at: int
    kind: Kind
    call_id: str
    line: str

    @property
    def partition(self) -> int:
        """All records of a call share one."""
        return crc32(self.call_id.encode()) % PARTITIONS


class Arm(NamedTuple):
    """A task type, model and config: how many calls a day, since when, and which share succeeds."""

    task: str
    model: str
    config: str
    per_day: int
    since_s: int
    good: float


class Source(NamedTuple):
    """Reports on a share of the calls (of those that failed only), within hours or, of a share, before them."""

    name: str
    share: float
    hours: tuple[float, float]
    scores: bool = False
    of_failures: bool = False
    early: float = 0.0
    high_is_bad: bool = False


class Call(NamedTuple):
    """What is known of a call before any outcome."""

    at: int
    call_id: str
    arm: Arm
    good: bool


_ARMS: Final = (
    Arm("triage", "atlas-large", "v1", 170, 0, 0.93),
    Arm("triage", "atlas-small", "v1", 45, 0, 0.86),
    Arm("extract", "cedar", "v1", 50, 0, 0.9),
    Arm("extract", "cedar", "v2", 30, 8 * DAY_S, 0.94),
    Arm("notify", "birch", "v1", 15, 0, 0.92),
)
_SOURCES: Final = {
    "triage": (
        Source("judge", 0.97, (0.02, 0.2), scores=True),
        Source("toxicity", 0.1, (0.02, 0.3), scores=True, high_is_bad=True),
        Source("user_feedback", 0.25, (0.2, 30)),
        Source("ticket_reopened", 0.4, (12, 60), of_failures=True),
        Source("human_review", 0.05, (24, 90)),
    ),
    "extract": (Source("downstream", 0.9, (1, 6), early=0.1), Source("contract", 0.5, (0.01, 0.1), early=0.3)),
    "notify": (Source("user_feedback", 0.9, (1, 20), of_failures=True),),
}


@cache
def history() -> tuple[Sent, ...]:
    """All records, in event-time order."""
    draw = random.Random(SEED)
    sent: list[Sent] = []
    for call in _calls(draw):
        sent += _repeated(draw, _call(draw, call), {"model": "another"})
        sent += _outcomes_of(draw, call)
    sent += _strangers(draw)
    within = sorted((record for record in sent if 0 <= record.at < END_S), key=lambda record: record.at)
    return tuple(_with_broken(draw, within))


def _calls(draw: random.Random) -> Iterator[Call]:
    number = 0
    for hour in range(END_S // HOUR_S):
        for arm in _ARMS:
            busier = 1.75 if arm.task == "triage" and hour * HOUR_S >= _SURGE_S else 1.0
            due = arm.per_day * busier * _HOURS[hour % 24] / sum(_HOURS) if hour * HOUR_S >= arm.since_s else 0.0
            for _ in range(int(due + draw.random())):
                at = hour * HOUR_S + STEP_S * int(draw.random() * HOUR_S / STEP_S)
                good = 0.4 if at in _DROP_S and arm.model == "atlas-large" else arm.good
                yield Call(at, _id(number), arm, draw.random() < good)
                number += 1


def _id(number: int) -> str:
    """Every second one is a UUID: they have a way of their own through the pipeline."""
    return f"call-{number}" if number % 2 else f"0195a000-{number:04x}-7000-8000-000000000001"


def _call(draw: random.Random, call: Call) -> Sent:
    slow = 2.5 if call.arm.task == "extract" and call.at >= _SLOW_S else 1.0
    tokens = 200 + 10 * int(90 * draw.random() * draw.random() * slow)
    record: dict[str, Any] = {
        "call_id": call.call_id,
        "occurred_at": _time(call.at),
        "task_type": call.arm.task,
        "model": call.arm.model,
        "config": call.arm.config,
        "latency_ms": 150 + 10 * int(70 * draw.random() * draw.random() * slow),
        "cost_usd": tokens * 4 / 1e6,
        "tokens_in": tokens,
        "tokens_out": 20,
    }
    if draw.random() < 0.02:
        record["error"] = "provider timed out"
    if draw.random() < 0.1:
        record |= {"session_id": f"s-{call.at % 500}", "attrs": {"region": "eu"}}
    return _sent("calls", call.at, record)


def _outcomes_of(draw: random.Random, call: Call) -> Iterator[Sent]:
    for source in _SOURCES[call.arm.task]:
        silent = source.name == "downstream" and call.at >= _SILENT_S
        if draw.random() < source.share and not silent and not (call.good and source.of_failures):
            first, last = source.hours
            later = (first + (last - first) * draw.random() * draw.random()) * HOUR_S / STEP_S
            early = draw.random() < source.early
            at = call.at + STEP_S * int(-20 * HOUR_S / STEP_S * draw.random() if early else later)
            yield from _statements(draw, call, source, at)
    if draw.random() < 0.004:
        too_late = call.at + HORIZON_S + STEP_S * int(1 + 150 * draw.random())
        yield _outcome(call, "too-late", too_late, source="human_review", success=True)


def _statements(draw: random.Random, call: Call, source: Source, at: int) -> Iterator[Sent]:
    """What a source states, and now and then a second statement, or a retraction of the first."""
    good = call.good == (draw.random() < 0.95)
    first_word = _outcome(call, source.name, at, source=source.name, **_verdict(draw, source, good=good))
    yield from _repeated(draw, first_word, {"source": "another"})
    later, which = at + STEP_S * int(1 + 8 * HOUR_S / STEP_S * draw.random()), draw.random()
    if which < 0.03:
        yield _outcome(call, f"{source.name}-2", later, source=source.name, success=not good)
    elif which < 0.05:
        yield _outcome(call, f"{source.name}-no", later, source=source.name, action="retract")
    elif which < 0.07:
        yield _outcome(call, f"{source.name}-no", later, action="retract", retracts=source.name)


def _verdict(draw: random.Random, source: Source, *, good: bool) -> dict[str, Any]:
    if not source.scores:
        return {"success": True} if good else {"success": False, "reason": "did not hold"}
    spread = int(draw.random() * 25)
    if source.high_is_bad:
        return {"score": (spread // 2 if good else 30 + spread) / 100}
    return {"score": (74 + spread if good else 30 + spread) / 100}


def _strangers(draw: random.Random) -> Iterator[Sent]:
    """Outcomes of calls that never come.

    None has `call_occurred_at`: whether it is `late` at once would depend on what was read before it.
    """
    for number in range(6 * END_S // DAY_S):
        at = DAY_S + int(draw.random() * (END_S - DAY_S))
        stranger = {"outcome_id": "o", "call_id": f"stranger-{number}", "source": "user_feedback", "success": True}
        yield _sent("outcomes", at, stranger | {"occurred_at": _time(at)})


def _with_broken(draw: random.Random, sent: list[Sent]) -> list[Sent]:
    """Records that cannot be read, each behind another one of its topic, whose time it takes."""
    found: list[Sent] = []
    for record in sent:
        found.append(record)
        if draw.random() < 0.003:
            found.append(record._replace(line=_BROKEN[int(draw.random() * len(_BROKEN))]))
    return found


def _repeated(draw: random.Random, record: Sent, other: dict[str, Any]) -> list[Sent]:
    """A record; sometimes it comes twice, and sometimes again with other content."""
    which = draw.random()
    if which < 0.02:
        return [record, record]
    if which < 0.025:
        return [record, record._replace(line=json.dumps(json.loads(record.line) | other))]
    return [record]


def _outcome(call: Call, outcome_id: str, at: int, **fields: Any) -> Sent:
    record = {"outcome_id": outcome_id, "call_id": call.call_id, "occurred_at": _time(at)}
    return _sent("outcomes", at, record | fields)


def _sent(kind: Kind, at: int, record: dict[str, Any]) -> Sent:
    return Sent(at, kind, str(record["call_id"]), json.dumps(record))


def _time(at: int) -> str:
    return f"{START + timedelta(seconds=at):%Y-%m-%dT%H:%M:%SZ}"
