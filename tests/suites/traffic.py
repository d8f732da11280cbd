"""Ten days of calls and outcomes in which everything happens that leaves a trace in the state of a step."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID

from aftercall.times import DAY_US, HOUR_US, MINUTE_US, format_time, parse_time
from connectors.batch import Batch, Erase
from connectors.decode.decoder import Decoder
from connectors.files.index import Index, index
from connectors.files.lane import FileLane

START_US: Final = parse_time("2026-03-02T00:00:00Z")  # a Monday: the digest of a week comes amid the stream
DAYS: Final = 10
BAD_DAYS: Final = range(6, 8)
_ARMS: Final = (
    # task, model, config, calls a day, first day
    ("refund", "atlas", "v1", 420, 0),
    ("refund", "birch", "default", 100, 0),
    ("triage", "atlas", "v1", 30, 0),
    ("refund", "atlas", "v2", 40, 5),
    *(("triage", "cedar", f"run-{number}", 6, number) for number in range(4)),
)
FIRST_GROUPS: Final = 6
"""Groups that have come after a fifth of the records."""


@cache
def lines() -> tuple[list[bytes], list[bytes]]:
    """Calls and outcomes as JSON lines, by time: revised, withdrawn, repeated, early, orphaned, too late, none at all.

    On the bad days the rate of ("refund", "atlas") halves, most of its failures time out, and it is half as fast.
    """
    draw = Random(2)
    calls, outcomes = list[dict[str, Any]](), list[dict[str, Any]]()
    for task, model, config, per_day, first in _ARMS:
        for number in range(per_day * (DAYS - first)):
            at = START_US + draw.randrange(first * DAY_US, DAYS * DAY_US) // 1000 * 1000
            call_id = f"{task}-{model}-{number:04}" if number % 2 else str(UUID(int=draw.getrandbits(128), version=4))
            bad = (task, model) == ("refund", "atlas") and (at - START_US) // DAY_US in BAD_DAYS
            good = draw.random() < (0.45 if bad else 0.92)
            error = {"error": "timeout"} if not good and draw.random() < (0.8 if bad else 0.2) else {}
            latency_ms = round(draw.lognormvariate(6, 0.5) * (2 if bad else 1), 1)
            call = {"call_id": call_id, "occurred_at": at, "task_type": task, "model": model, "config": config}
            call |= _context(number)
            if number % 30 == 4:
                calls.append({**call, "occurred_at": at - 2_000_000})  # at its start; what follows completes it
            calls.append({**call, "latency_ms": latency_ms, "cost_usd": round(draw.random() / 100, 6), **error})
            outcomes += _outcomes(draw, call_id, at, good=good)
            if draw.random() < 0.01:
                calls.append({**calls[-1], "occurred_at": at + 1000, "segment": "another"})
    outcomes += [_statement(f"no-call-{n}", 0, START_US + n * HOUR_US, "judge", success=True) for n in range(40)]
    outcomes += _said(draw)
    until = START_US + DAYS * DAY_US
    return _written(calls, until), _written(outcomes, until)


def _context(number: int) -> dict[str, Any]:
    """What some calls have beside: a segment, a session, tokens and a language, a model that failed before."""
    context: dict[str, Any] = {"segment": "long"} if number % 7 == 3 else {}
    context |= {"tokens_in": 300 if number % 12 else 5000, "attrs": {"lang": "de"}} if number % 4 == 0 else {}
    context |= {"session_id": _session(number % 90)} if number % 5 == 1 else {}
    context |= {"parent_call_id": str(UUID(int=number, version=4))} if number % 10 == 6 else {}
    context |= {"parent_call_id": f"above-{number}"} if number % 20 == 1 else {}
    tried = [{"model": "atlas", "config": "v1", "error": "429", "latency_ms": 90, "cost_usd": 0.001}]
    return context | ({"attempts": tried} if number % 40 == 9 else {})


def _outcomes(draw: Random, call_id: str, at: int, *, good: bool) -> Iterable[dict[str, Any]]:
    if draw.random() < 0.15:
        return
    later = draw.choice((-10 * MINUTE_US, MINUTE_US, *(HOUR_US,) * 6, 5 * HOUR_US, 30 * HOUR_US))
    stated_at = at + int(later * draw.uniform(0.5, 1.5))
    by_judge = draw.random() < 0.3
    first = _statement(call_id, 0, stated_at, "judge" if by_judge else "user_feedback", success=good)
    first |= {"reason": "as the customer wrote"} if draw.random() < 0.1 else {}
    scored = {"score": round(draw.betavariate(8, 2) if good else 0.1, 2), "scorer": f"judge@{int(good)}"}
    yield first | (scored if by_judge else {})
    fate = draw.random()
    if fate < 0.04:
        yield _statement(call_id, 1, stated_at + HOUR_US, "human_review", success=not good)
    elif fate < 0.06:
        back = {"outcome_id": f"{call_id}-back", "call_id": call_id, "source": first["source"], "action": "retract"}
        yield {**back, "occurred_at": stated_at + HOUR_US}
    elif fate < 0.07:
        yield first


def _session(number: int) -> str:
    """The id of a session: a text or a UUID."""
    return f"s-{number}" if number % 2 else str(UUID(int=number, version=4))


def _said(draw: Random) -> Iterable[dict[str, Any]]:
    """What is said about sessions: of their last calls or of all, some of it again, and some taken back."""
    for number in range(180):
        at = START_US + draw.randrange(DAYS * DAY_US) // 1000 * 1000
        thumb = {"outcome_id": f"thumb-{number}", "session_id": _session(number % 90), "occurred_at": at}
        thumb |= {"source": "user_feedback", "success": number % 3 == 0, "scope": ("last", "all")[number % 2]}
        yield thumb
        if number % 9 == 4:
            yield thumb
        if number % 9 == 7:
            back = {"outcome_id": f"{number}-back", "session_id": thumb["session_id"], "source": "user_feedback"}
            yield {**back, "action": "retract", "retracts": thumb["outcome_id"], "occurred_at": at + HOUR_US}


def _statement(call_id: str, number: int, at: int, source: str, *, success: bool) -> dict[str, Any]:
    statement = {"outcome_id": f"{call_id}-{number}", "call_id": call_id, "occurred_at": at}
    return {**statement, "source": source, "success": success}


def _written(records: Iterable[dict[str, Any]], until: int) -> list[bytes]:
    kept = sorted((record for record in records if record["occurred_at"] < until), key=lambda one: one["occurred_at"])
    return [json.dumps({**record, "occurred_at": format_time(record["occurred_at"])}).encode() for record in kept]


def marks() -> list[bytes]:
    """Marks of the first task type, of another, and of all: one comes twice, and one of its id with another text."""
    made = [
        {"occurred_at": START_US + n * 20 * HOUR_US, "task_type": ("refund", "triage", "*")[n % 3], "text": f"v{n}"}
        for n in range(12)
    ]
    late = {"occurred_at": START_US + 6 * DAY_US - HOUR_US, "task_type": "refund", "mark_id": "new", "text": "v8"}
    return _written([*made, made[3], late, late, {**late, "text": "another"}], START_US + DAYS * DAY_US)


@cache
def _files() -> Index:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("calls.jsonl", "outcomes.jsonl", "marks.jsonl")]
        for path, written in zip(paths, (*lines(), marks()), strict=True):
            path.write_bytes(b"".join(line + b"\n" for line in written))
        return index(paths[:1], paths[1:2], Path(folder), marks=paths[2:])


def batches(cuts: Sequence[float]) -> list[Batch]:
    """The stream as a lane reads it, in batches that end at these parts of it; after six tenths a request to erase.

    One batch always ends after a fifth: by then the first `FIRST_GROUPS` groups have come and no other has.
    """
    files, state, read = _files(), None, list[Batch]()
    erased_at = len(files) * 6 // 10
    bounds = sorted({0, len(files) // 5, erased_at, len(files), *(int(cut * len(files)) for cut in cuts)})
    for begin, end in pairwise(bounds):
        decoder = Decoder(now_us=START_US + DAYS * DAY_US, max_future_skew_us=0)
        lane = FileLane(files, decoder, end - begin, None, state)
        read += lane.next_batch()
        state = lane.snapshot()
        if end == erased_at:
            names = [json.loads(line)["call_id"] for line in lines()[0]]
            read[-1].erase = (Erase("request", tuple(names[len(names) // 2 : len(names) * 7 // 10 : 50])),)
    return read
