"""Makes two weeks of difficult calls and outcomes, ending now, and produces them.

Beyond what `aftercall simulate` makes (revisions, retractions, repeats, outcomes of unknown calls, an incident), there
are contradictions, unreadable records, statements after the horizon, labels and texts, and an incident that ends.
Nothing is late or orphaned by its arrival: all partitions are written in event-time order, and no partition is ever
more than an hour of event time ahead of another.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier as Meeting
from threading import BrokenBarrierError, Event, Thread
from typing import Any, Final, Literal, NamedTuple
from zlib import crc32

import orjson
from confluent_kafka import Producer

from aftercall.times import format_time, parse_time
from benchmarks.kafka_broker import LOSES_NONE, ClientSettings
from flows.demo.simulate import simulate
from models.simulation import DEMO

Kind = Literal["calls", "outcomes"]
PARTITIONS: Final = 7
"""More than the lanes: one lane reads two partitions of each topic."""
DAYS: Final = 14
HORIZON_US: Final = 72 * 3_600_000_000
LATENESS_US: Final = 3_600_000_000
"""Outcomes come within 60 h, so one that is 12 h behind is still in time."""
CHUNK_US: Final = 3_600_000_000
PRODUCERS: Final = 3
TOLD_LATER: Final = (
    "error",
    "session_id",
    "latency_ms",
    "cost_usd",
    "tokens_in",
    "tokens_out",
    "attrs",
    "attempts",
    "tool_calls",
)
"""Fields of a call that a record at its start does not have."""
_BROKEN: Final = (b"{", b'"text"', b"{}", b'{"call_id":"x","occurred_at":"soon"}', b"\xff\xfe")
_PASSING: Final = ("invoice_extraction", "cedar-mini", 0.45, 0.6, 0.6)
"""Task type, model, from and to (shares of the period), and which share of the successes turns into failures."""
_INCIDENT: Final = DEMO.incident
assert _INCIDENT is not None
CHANGED: Final = ((_INCIDENT.task_type, _INCIDENT.model), _PASSING[:2])
"""Task type and model of the true changes."""


class Sent(NamedTuple):
    """A record as it is written: event time in µs, or that of its neighbours where it has none.

    `refused`: the reason for which it must become a dead letter, where that does not follow from the history.
    """

    at: int
    kind: Kind
    partition: int
    key: str
    value: bytes
    refused: str | None = None


def partition_of(call_id: str) -> int:
    """The partition of all records of a call, in both topics."""
    return crc32(call_id.encode()) % PARTITIONS


def history(calls: int, seed: int) -> list[Sent]:
    """About `calls` calls and their outcomes, in event-time order; the newest is at most a minute or so old."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=DAYS, minutes=1)
    with tempfile.TemporaryDirectory(prefix="aftercall-kills-") as folder:
        made = simulate(Path(folder), days=DAYS, calls_per_day=calls / DAYS, seed=seed, start=start, after_days=0.0)
        call_records = [orjson.loads(line) for line in made.calls.read_bytes().splitlines()]
        outcome_records = [orjson.loads(line) for line in made.outcomes.read_bytes().splitlines()]
    draw = random.Random(seed)
    sent = [*_calls(call_records, draw), *_outcomes(outcome_records, _worse(call_records, start), draw)]
    last = max(record.at for record in sent)
    sent += _late(call_records, draw)
    sent += [_broken(draw, sent[draw.randrange(len(sent))].at) for _ in range(len(sent) // 400 + 5)]
    return sorted((record for record in sent if record.at <= last), key=lambda record: record.at)


def _calls(calls: list[dict[str, Any]], draw: random.Random) -> Iterator[Sent]:
    for call in calls:
        if crc32(call["call_id"].encode()) % 5 == 0:  # decided by the id, so that a repeat is equal
            call["session_id"] = f"s-{call['call_id'][:4]}"
            call["attrs"] = {"region": "eu", "try": len(call["call_id"])}
        if crc32(call["call_id"].encode()) % 10 < 3:
            call["tool_calls"] = [{"name": "crm"}, {"name": "search", "empty": True, "ok": True}, {"error": "timeout"}]
        if crc32(call["call_id"].encode()) % 50 == 1:
            call["attempts"] = [{"model": "first", "error": "429", "cost_usd": 0.002}, {"model": "second"}]
        if crc32(call["call_id"].encode()) % 20 == 2:  # reported at its start, and again with all of it
            yield as_sent("calls", {name: value for name, value in call.items() if name not in TOLD_LATER})
        yield as_sent("calls", call)
        if draw.random() < 0.005:
            yield as_sent("calls", call | {"model": "another"})


def _outcomes(outcomes: list[dict[str, Any]], worse: set[str], draw: random.Random) -> Iterator[Sent]:
    for outcome in outcomes:
        if outcome["call_id"] in worse and "action" not in outcome:
            outcome.update({"success": False} if "success" in outcome else {"score": 0.1})
        if outcome.get("success") is False:
            outcome["reason"] = "did not hold – zurückgewiesen"
        yield as_sent("outcomes", outcome)
        if draw.random() < 0.005:
            yield as_sent("outcomes", outcome | {"source": "contract", "success": True, "action": "assert"})


def _worse(calls: list[dict[str, Any]], start: datetime) -> set[str]:
    """Ids of the calls that fail in the incident that ends."""
    task, model, since, until, share = _PASSING
    begins, ends = (format_time(int((start.timestamp() + at * DAYS * 86_400) * 1e6)) for at in (since, until))
    return {
        call["call_id"]
        for call in calls
        if call["task_type"] == task
        and call["model"] == model
        and begins <= call["occurred_at"] < ends
        and crc32(call["call_id"].encode()) % 1000 < share * 1000
    }


def _late(calls: list[dict[str, Any]], draw: random.Random) -> Iterator[Sent]:
    """Statements after the horizon of calls that are still open."""
    for call in calls:
        if draw.random() < 0.002:
            at = parse_time(call["occurred_at"]) + HORIZON_US + draw.randrange(1, LATENESS_US - 60_000_000)
            late = {"outcome_id": "late", "call_id": call["call_id"], "occurred_at": format_time(at)}
            yield as_sent("outcomes", late | {"source": "user_feedback", "success": True})


def _broken(draw: random.Random, at: int) -> Sent:
    kind: Kind = draw.choice(("calls", "outcomes"))
    return Sent(at, kind, draw.randrange(PARTITIONS), f"broken-{draw.randrange(100)}", draw.choice(_BROKEN))


def as_sent(kind: Kind, record: dict[str, Any]) -> Sent:
    """The record as it is written."""
    call_id = record["call_id"]
    return Sent(parse_time(record["occurred_at"]), kind, partition_of(call_id), call_id, orjson.dumps(record))


class Producers:
    """Threads with one producer each; all write an hour of event time at full speed, then wait for each other.

    `until` sets the share of the history that may be written. Between two hours the threads pause for a random time, so
    that the writing fills a round of the campaign, with bursts.
    """

    def __init__(self, client: ClientSettings, topics: dict[Kind, str], sent: list[Sent], seed: int) -> None:
        self._topics = topics
        settings: ClientSettings = {"message.timeout.ms": 0, "linger.ms": 5, "log_level": 0}
        self._client = client | LOSES_NONE | settings | {"reconnect.backoff.max.ms": 500}
        first = sent[0].at
        self._chunks: list[list[Sent]] = [[] for _ in range((sent[-1].at - first) // CHUNK_US + 1)]
        for record in sent:
            self._chunks[(record.at - first) // CHUNK_US].append(record)
        self._draw = random.Random(seed)
        self._until, self._pause_s = 0.0, 0.0
        self._stopped = Event()
        self._failure: BaseException | None = None
        self._meeting = Meeting(PRODUCERS, action=self._pace)
        self.written = 0
        """Hours written and acknowledged so far."""
        self._threads = [Thread(target=self._run, args=(number,), daemon=True) for number in range(PRODUCERS)]

    def start(self) -> None:
        """Start the threads; they write up to the share set by `until`."""
        for thread in self._threads:
            thread.start()

    def until(self, share: float, within_s: float) -> None:
        """Write the history up to a share of it, in [0, 1] or beyond for all, over about `within_s` seconds."""
        hours = max(1.0, share * len(self._chunks) - self.written)
        self._until, self._pause_s = share, within_s / hours

    def join(self) -> None:
        """Wait until all is written."""
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure

    def done(self) -> bool:
        """Whether all threads have ended: everything is written, or the writing has been stopped."""
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Stop writing."""
        self._stopped.set()
        self._meeting.abort()

    def _run(self, number: int) -> None:
        producer = Producer(self._client, error_cb=lambda _error: None)
        try:
            for chunk in self._chunks:
                self._meeting.wait()
                for record in chunk:
                    if record.partition % PRODUCERS == number:
                        self._produce(producer, record)
                while producer.flush(1.0) and not self._stopped.is_set():
                    pass
            self._meeting.wait()
        except BrokenBarrierError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by `join`
            self._failure = error
            self._meeting.abort()

    def _produce(self, producer: Producer, record: Sent) -> None:
        topic = self._topics[record.kind]
        while not self._stopped.is_set():
            try:
                producer.produce(topic, record.value, record.key, record.partition, on_delivery=self._delivered)
            except BufferError:
                producer.poll(0.1)
            else:
                producer.poll(0)
                return

    def _delivered(self, error: Any, _message: Any) -> None:
        if error is not None and not self._stopped.is_set():
            self._failure = RuntimeError(f"a producer could not write: {error}")
            self._meeting.abort()

    def _pace(self) -> None:
        """Called by the last thread to arrive at the barrier, when everything so far is acknowledged."""
        begun = time.monotonic()
        pause_s = self._pause_s * self._draw.choice((0.0, 0.0, 0.5, 1.0, 3.5))
        while not self._stopped.is_set() and (
            self.written > self._until * len(self._chunks) or time.monotonic() - begun < min(pause_s, self._pause_s * 4)
        ):
            time.sleep(0.01)
        self.written += 1
