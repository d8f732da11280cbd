"""Defines every Prometheus metric of the pipeline: its name, labels and meaning.

No other file defines one. Callers use `METRICS`, the one set of this process. Counters count what this process has seen
since it started: a restart sets them to zero, and work that is repeated after a crash counts again. Numbers that are
exact over restarts are in the snapshot's table `pipeline`. Ids of calls, conversations or outcomes are never labels:
each value of a label is a series for ever. docs/metrics.md explains when to worry; a test compares it with this file.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from aftercall import DEAD_LETTER_REASONS, __version__
from aftercall.times import NEVER

disable_created_metrics()  # type: ignore[no-untyped-call]

KINDS: Final = ("call", "outcome")
_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)


class Definition(NamedTuple):
    """A metric: its name as Prometheus sees it, its type, its labels and its meaning."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str


DEFINITIONS: Final = (
    Definition("aftercall_build_info", "gauge", ("version", "python", "process"), "Always 1; which release runs here"),
    Definition("aftercall_ready", "gauge", (), "1 while `/readyz` answers 200, else 0"),
    Definition("aftercall_heartbeat_age_seconds", "gauge", (), "Time since the dataflow last made progress"),
    Definition("aftercall_recovery_seconds", "gauge", (), "From the start of the process until its state was loaded"),
    Definition("aftercall_records_total", "counter", ("kind",), "Records read: repeated and refused ones too"),
    Definition("aftercall_attempts_total", "counter", (), "Failed attempts that calls had, each a row of its own"),
    Definition("aftercall_marks_total", "counter", (), "Accepted marks"),
    Definition("aftercall_completed_total", "counter", (), "Further records of held calls that fill what these lack"),
    Definition("aftercall_split_keys_total", "counter", (), "Calls of which records came on two partitions"),
    Definition("aftercall_duplicates_total", "counter", (), "Records that repeat one that is held"),
    Definition("aftercall_dead_letters_total", "counter", ("reason",), "Records that cannot be used"),
    Definition(
        "aftercall_consumer_lag_records", "gauge", ("topic", "partition"), "Records in a partition not yet read"
    ),
    Definition(
        "aftercall_partition_paused", "gauge", ("topic", "partition"), "1 while a partition is ahead and waits, else 0"
    ),
    Definition("aftercall_paused", "gauge", ("cause",), "1 while the pipeline waits for this cause, else 0"),
    Definition("aftercall_broker_errors_total", "counter", ("error",), "Errors of the broker that pass by themselves"),
    Definition("aftercall_watermark_delay_seconds", "gauge", (), "Wall clock minus watermark"),
    Definition("aftercall_pending_calls", "gauge", (), "Held calls without a verdict"),
    Definition("aftercall_waiting_outcomes", "gauge", (), "Outcomes whose call has not come yet"),
    Definition("aftercall_texts_total", "counter", ("fate",), "Texts of calls: kept, or dropped from their buffer"),
    Definition("aftercall_texts_waiting_bytes", "gauge", (), "Texts that wait for their calls to fail, on the disk"),
    Definition("aftercall_verdicts_total", "counter", ("verdict",), "Verdict records issued, revisions too"),
    Definition("aftercall_alerts_total", "counter", ("state", "kind"), "Alert records issued"),
    Definition("aftercall_alerts_open", "gauge", (), "Alerts that are open, as of the last closed minute"),
    Definition("aftercall_recommendations_total", "counter", (), "Recommendations issued"),
    Definition("aftercall_outputs_total", "counter", ("topic",), "Records that the broker has confirmed"),
    Definition(
        "aftercall_outputs_refused_total", "counter", ("topic", "error"), "Records that the broker refused for good"
    ),
    Definition("aftercall_state_bytes", "gauge", ("step",), "Stored state of a step, as of the last epoch's end"),
    Definition("aftercall_state_written_bytes_total", "counter", ("step",), "State that a step has written"),
    Definition("aftercall_epoch_seconds", "histogram", (), "From one epoch's end to the next"),
    Definition("aftercall_snapshot_age_seconds", "gauge", (), "Time since a snapshot was last published"),
    Definition("aftercall_snapshot_version", "gauge", (), "Version of the newest snapshot"),
    Definition("aftercall_snapshot_publication_seconds", "histogram", (), "How long publishing a snapshot took"),
)
"""All metrics. A gauge without labels is absent until its process sets it."""


class Figures(NamedTuple):
    """What a status line shows of a process; None where the process has no value.

    Attributes:
        records: read since the start.
        lag: records not read yet.
        pending: calls without a verdict.
        open_alerts: alerts that are open.
        snapshot_age_s: seconds since a snapshot was published.
    """

    records: float
    lag: float | None
    pending: float | None
    open_alerts: float | None
    snapshot_age_s: float | None


class Metrics:
    """A set of metrics with its own registry, not the client library's default. Any thread may call its methods."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`wall` gives seconds since 1970, `monotonic` seconds since any fixed moment."""
        self.registry = CollectorRegistry(auto_describe=True)
        self._wall, self._monotonic = wall, monotonic
        self._definitions = {definition.name: definition for definition in DEFINITIONS}
        self._made: dict[str, Any] = {}
        self._sizes: dict[str, dict[str, int]] = {}
        self._watermark = self._published_at = 0.0
        self._lock = Lock()
        ProcessCollector(registry=self.registry)  # process_*: memory, CPU, open files
        for definition in DEFINITIONS:  # from 0, so that the first one shows as an increase
            if definition.type != "gauge" and not definition.labels:
                self._metric(definition.name)
        for kind in KINDS:
            self._metric("aftercall_records_total").labels(kind)
        for reason in DEAD_LETTER_REASONS:
            self._metric("aftercall_dead_letters_total").labels(reason)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the format that the header `Accept` requests, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def process(self, number: int) -> None:
        """Set which process of the cluster this is; called once, at the start."""
        self._metric("aftercall_build_info").labels(__version__, platform.python_version(), number).set(1)

    def health(self, ready: Callable[[], bool], heartbeat_age_s: Callable[[], float]) -> None:
        """Register the functions that every scrape calls; called once, at the start."""
        self._metric("aftercall_ready").set_function(lambda: float(ready()))
        self._metric("aftercall_heartbeat_age_seconds").set_function(heartbeat_age_s)

    def recovered(self, took_s: float) -> None:
        """Set the time from the start of the process until its state was loaded, s."""
        self._metric("aftercall_recovery_seconds").set(took_s)

    def records(self, kind: str, count: int) -> None:
        """Count `count` records of `kind`, `call` or `outcome`, that a lane has read."""
        self._metric("aftercall_records_total").labels(kind).inc(count)

    def attempts(self, count: int) -> None:
        """Calls had failed attempts."""
        self._metric("aftercall_attempts_total").inc(count)

    def marks(self, count: int) -> None:
        """Marks were accepted."""
        self._metric("aftercall_marks_total").inc(count)

    def completed(self, count: int) -> None:
        """Further records have completed calls."""
        self._metric("aftercall_completed_total").inc(count)

    def split_keys(self, calls: int) -> None:
        """Count `calls` calls that the join met on two partitions."""
        self._metric("aftercall_split_keys_total").inc(calls)

    def duplicates(self, count: int) -> None:
        """Count `count` records that the join found to repeat held ones."""
        self._metric("aftercall_duplicates_total").inc(count)

    def dead_letters(self, reason: str, count: int = 1) -> None:
        """Count `count` records that became dead letters for this reason."""
        self._metric("aftercall_dead_letters_total").labels(reason).inc(count)

    def lag(self, topic: str, partition: int, records: int) -> None:
        """Set how many records a lane has left to read in a partition."""
        self._metric("aftercall_consumer_lag_records").labels(topic, partition).set(records)

    def paused(self, topic: str, partition: int, *, paused: bool) -> None:
        """Set whether a lane has paused a partition."""
        self._metric("aftercall_partition_paused").labels(topic, partition).set(paused)

    def pause(self, cause: str, is_paused: Callable[[], bool]) -> None:
        """Register the function that every scrape calls for this cause of a pause."""
        self._metric("aftercall_paused").labels(cause).set_function(lambda: float(is_paused()))

    def broker_error(self, error: str) -> None:
        """Count a passing error that the broker's client reported; `error` is its name, such as `_TRANSPORT`."""
        self._metric("aftercall_broker_errors_total").labels(error).inc()

    def watermark(self, at_us: int) -> None:
        """Set the watermark, in µs since 1970; `NEVER` is ignored."""
        if at_us == NEVER:
            return
        self._watermark = at_us / 1e6
        self._metric("aftercall_watermark_delay_seconds").set_function(lambda: self._wall() - self._watermark)

    def pending(self, calls: int, outcomes: int) -> None:
        """Set the held calls without a verdict and the outcomes without a call, of the whole pipeline."""
        self._metric("aftercall_pending_calls").set(calls)
        self._metric("aftercall_waiting_outcomes").set(outcomes)

    def texts(self, fates: Mapping[str, int], waiting_bytes: int) -> None:
        """Count texts by what has become of them, such as `texts_kept`, and set the bytes of those that wait."""
        for fate, count in fates.items():
            self._metric("aftercall_texts_total").labels(fate.removeprefix("texts_")).inc(count)
        self._metric("aftercall_texts_waiting_bytes").set(waiting_bytes)

    def verdicts(self, verdict: str, count: int = 1) -> None:
        """Count `count` verdict records whose verdict is `verdict`."""
        self._metric("aftercall_verdicts_total").labels(verdict).inc(count)

    def alert(self, state: str, kind: str) -> None:
        """Count an alert record: opened, updated or closed."""
        self._metric("aftercall_alerts_total").labels(state, kind).inc()

    def open_alerts(self, count: int) -> None:
        """Set how many alerts are open."""
        self._metric("aftercall_alerts_open").set(count)

    def recommendation(self) -> None:
        """Count a recommendation."""
        self._metric("aftercall_recommendations_total").inc()

    def outputs(self, topic: str, count: int) -> None:
        """Count `count` records that the broker has acknowledged."""
        self._metric("aftercall_outputs_total").labels(topic).inc(count)

    def output_refused(self, topic: str, error: str) -> None:
        """Count a record that the broker has refused for good; `error` is the client's name for the reason."""
        self._metric("aftercall_outputs_refused_total").labels(topic, error).inc()

    def state_written(self, step: str, size: int) -> None:
        """Count bytes of state that a step has written, to the recovery store or as a segment."""
        self._metric("aftercall_state_written_bytes_total").labels(step).inc(size)

    def state_bytes(self, step: str, key: str, size: int) -> None:
        """Set the bytes of state of one key of a step; the metric is the sum over the step's keys in this process."""
        with self._lock:
            sizes = self._sizes.setdefault(step, {})
            sizes[key] = size
            total = sum(sizes.values())
        self._metric("aftercall_state_bytes").labels(step).set(total)

    def epoch(self, took_s: float) -> None:
        """Observe the end of an epoch, `took_s` seconds after the end of the one before."""
        self._metric("aftercall_epoch_seconds").observe(took_s)

    def snapshot(self, version: int, took_s: float) -> None:
        """Record that a snapshot has just been published, which took `took_s` seconds."""
        self._published_at = self._monotonic()
        self._metric("aftercall_snapshot_age_seconds").set_function(lambda: self._monotonic() - self._published_at)
        self._metric("aftercall_snapshot_version").set(version)
        self._metric("aftercall_snapshot_publication_seconds").observe(took_s)

    def snapshot_is_current(self) -> None:
        """Reset the snapshot's age: nothing has changed since the last publication, so there is nothing to publish."""
        self._published_at = self._monotonic()

    def figures(self) -> Figures:
        """The values of a few metrics, each summed over its labels."""
        return Figures(
            self._value("aftercall_records_total") or 0.0,
            self._value("aftercall_consumer_lag_records"),
            self._value("aftercall_pending_calls"),
            self._value("aftercall_alerts_open"),
            self._value("aftercall_snapshot_age_seconds"),
        )

    def _value(self, name: str) -> float | None:
        if name not in self._made:
            return None
        return float(sum(sample.value for family in self._made[name].collect() for sample in family.samples))

    def _metric(self, name: str) -> Any:
        """The metric of that name, created at its first use."""
        made = self._made.get(name)
        if made is None:
            with self._lock:
                made = self._made.get(name) or self._made.setdefault(name, self._make(self._definitions[name]))
        return made

    def _make(self, definition: Definition) -> Counter | Gauge | Histogram:
        name, _, labels, meaning = definition
        match definition.type:
            case "counter":
                return Counter(name, meaning, labels, registry=self.registry)
            case "gauge":
                return Gauge(name, meaning, labels, registry=self.registry)
        return Histogram(name, meaning, labels, registry=self.registry, buckets=_SECONDS)


METRICS: Final = Metrics()
"""The metrics of this process."""
