"""Sends records at a steady rate, and reads from the topics how long verdicts took."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, Final, NamedTuple

import numpy as np
import orjson
from confluent_kafka import Consumer, TopicPartition

from benchmarks.product.processes import BenchmarkError, Running
from benchmarks.product.service import PARTITIONS, RECORDS, Service, Topics
from benchmarks.product.sizes import GROUPS, RATE
from benchmarks.product.traffic import Records, Shape, calls_for, in_order, traffic

_TICK_S: Final = 0.01
_WATCH_S: Final = 1.0
_READ_S: Final = 30.0
_STATE: Final = "aftercall_state_written_bytes_total"
_PART_US: Final = 600_000_000
"""Traffic is made in parts of ten minutes, as one piece takes four times the memory while it is made."""
_PREPARE_S, _READ_PER_S, _MADE_PER_S = 5.0, 10_000.0, 20_000.0


class Window(NamedTuple):
    """What was read in a window at a steady rate.

    Attributes:
        cores: CPU seconds of the tree per second.
        written_mb: what the tree has sent to storage.
        rows_mb: by how much the snapshot's live database grew: rows, which are no state.
        epochs: seconds of each epoch that ended in it, from one end to the next.
        state_mb: the state that steps and sinks have written, to the engine or as segments.
        latencies: seconds from the append of an outcome to that of the verdict that rests on it.
        sent_per_s: records per second.
        behind: records that were sent and not read when it began; many, and the figures are those of catching up.
    """

    cores: float
    written_mb: float
    rows_mb: float
    epochs: list[float]
    state_mb: float
    latencies: list[float]
    sent_per_s: float
    behind: float

    def plain(self) -> dict[str, Any]:
        """Plain values, with quantiles instead of all latencies."""
        share = {name: self.latency(q) for name, q in (("p50_s", 0.5), ("p99_s", 0.99), ("max_s", 1.0))}
        return {**self._asdict(), "latencies": len(self.latencies), **share}

    def latency(self, share: float) -> float:
        """The quantile at `share`; nan without any."""
        return float(np.quantile(self.latencies, share)) if self.latencies else float("nan")


def records_from_now(seconds: float, lead_s: float, seed: int) -> Records:
    """`RATE` records a second for so long, from a moment that leaves time to make and read those of `lead_s` before."""
    before_s = _PREPARE_S + lead_s * RATE / _READ_PER_S + (lead_s + seconds) * RATE / _MADE_PER_S
    begin_us = time.time_ns() // 1000 + round(before_s * 1e6)
    first_us, end_us = begin_us - round(lead_s * 1e6), begin_us + round(seconds * 1e6)
    parts = []
    for number, start_us in enumerate(range(first_us, end_us, _PART_US)):
        calls = calls_for(round(RATE * min(_PART_US, end_us - start_us) / 1e6), 1)
        parts.append(traffic(Shape(calls, 1, GROUPS, RATE, start_us, seed + 1000 * number)))
    return in_order(parts).between(first_us, end_us)


def measure(service: Service, topics: Topics, running: Running, records: Records, window_s: float) -> Window:
    """Send `records` when they are due, measure the last `window_s` seconds of them, and stop the service.

    Records that are due already are sent at once. Verdicts are read after the end: none is still on its way.
    """
    stop, read_before = Event(), service.metrics()[RECORDS] - topics.records
    sender = Thread(target=_send, args=(topics, records, stop), daemon=True)
    sender.start()
    end_s = int(records.arrival_us[-1]) / 1e6
    try:
        _sleep_until(end_s - window_s)
        if running.ended():
            raise BenchmarkError("the service must run until it is stopped; it ended by itself")
        behind = topics.records - service.metrics()[RECORDS] + read_before
        began_s, cpu_s, written, rows = time.time(), running.cpu_s(), running.written_bytes(), _rows_bytes(service)
        stated = service.metrics().get(_STATE, 0.0)
        epochs = _watch_epochs(service, end_s)
        took_s = time.time() - began_s
        cores, written = (running.cpu_s() - cpu_s) / took_s, running.written_bytes() - written
        grown = _rows_bytes(service) - rows
        state = service.metrics().get(_STATE, 0.0) - stated
        sender.join()
    finally:
        stop.set()
    topics.flush()
    running.stop()
    late = records.arrival_us >= (end_s - window_s) * 1e6
    latencies = read_latencies(topics, began_s, end_s)
    return Window(cores, written / 1e6, grown / 1e6, epochs, state / 1e6, latencies, int(late.sum()) / window_s, behind)


def read_latencies(topics: Topics, since_s: float, until_s: float) -> list[float]:
    """Seconds from the append of each outcome in this span to the append of the first verdict that rests on it.

    Both are the broker's clock (`LogAppendTime`), to a millisecond. Outcomes on which no verdict rests, as another one
    outranks them, are left out.
    """
    stated = _appended(topics, "outcomes", since_s)
    decided = _appended(topics, "verdicts", since_s)
    return [(decided[name] - at) / 1000 for name, at in stated.items() if name in decided and at < until_s * 1000]


def _appended(topics: Topics, topic: str, since_s: float) -> dict[tuple[str, str], int]:
    """When each (call, outcome) was appended first, from `since_s` to the end of the topic, ms since 1970."""
    consumer = Consumer(
        topics.broker.client | {"group.id": "bench-product", "enable.auto.commit": False, "log_level": 2}
    )
    appended: dict[tuple[str, str], int] = {}
    try:
        name, since_ms = f"{topics.name}.{topic}", int(since_s * 1000)
        asked = [TopicPartition(name, part, since_ms) for part in range(PARTITIONS)]
        ends = {part: consumer.get_watermark_offsets(TopicPartition(name, part))[1] for part in range(PARTITIONS)}
        begin = [place for place in consumer.offsets_for_times(asked) if 0 <= place.offset < ends[place.partition]]
        consumer.assign(begin)
        left = {place.partition for place in begin}
        deadline = time.monotonic() + _READ_S
        while left and time.monotonic() < deadline:
            for message in consumer.consume(10_000, 1.0):
                if message.error() is None:
                    deadline = time.monotonic() + _READ_S
                    _note(appended, message)
                    part, offset = message.partition(), message.offset()
                    if part is not None and offset is not None and offset + 1 >= ends[part]:
                        left.discard(part)
        if left:
            raise BenchmarkError(f"topic {name} must be readable to its end; {len(left)} partitions were not")
    finally:
        consumer.close()
    return appended


def _note(appended: dict[tuple[str, str], int], message: Any) -> None:
    record = orjson.loads(message.value())
    if record.get("outcome_id") is not None:
        key, at = (record["call_id"], record["outcome_id"]), int(message.timestamp()[1])
        appended[key] = min(at, appended.get(key, at))


def _send(topics: Topics, records: Records, stop: Event) -> None:
    first = 0
    while first < len(records) and not stop.is_set():
        end = int(np.searchsorted(records.arrival_us, int(time.time() * 1e6)))
        part = slice(first, max(end, first))
        topics.send(Records(records.arrival_us[part], records.kinds[part], records.keys[part], records.values[part]))
        first = part.stop
        time.sleep(_TICK_S)


def _watch_epochs(service: Service, end_s: float) -> list[float]:
    """Seconds of every epoch that ends before `end_s`; where two end between two looks, both count as their mean."""
    names = ("aftercall_epoch_seconds_sum", "aftercall_epoch_seconds_count")
    took: list[float] = []
    before: list[float] | None = None
    while time.time() < end_s:
        metrics = service.metrics()
        now = [metrics.get(name, 0.0) for name in names]
        if before is not None and (ended := round(now[1] - before[1])):
            took += [(now[0] - before[0]) / ended] * ended
        before = now
        time.sleep(_WATCH_S)
    return took


def _rows_bytes(service: Service) -> int:
    """Bytes of the snapshot's live database, which only grows."""
    return sum(path.stat().st_size for path in (service.out / "state").glob("live.duckdb*"))


def _sleep_until(at_s: float, clock: Callable[[], float] = time.time) -> None:
    while (left := at_s - clock()) > 0:
        time.sleep(min(left, _WATCH_S))
