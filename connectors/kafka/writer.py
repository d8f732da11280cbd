"""Writes the outputs of a process with one producer: lossless, and in order per key.

The writer keeps everything written since all was last acknowledged (as references to the blocks). Where the broker
refuses a record, or a batch because of one, those records and all later ones of their keys are sent again one by one:
otherwise an older record could come to lie after a newer one, and compaction would keep the wrong one.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import RLock
from typing import Any, Final, Literal

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.block import Block
from connectors.kafka.client import open_producer
from connectors.kafka.cluster import ClientConfig
from connectors.kafka.errors import KafkaFailure, StoppedWaiting, displayable, is_fatal, is_passing, sentence
from connectors.kafka.undeliverable import TOO_LARGE, refused_output, shortened
from connectors.pauses import PAUSES

MOST_RECORDS: Final = 50_000
MOST_BYTES: Final = 64 * 1024 * 1024
"""Most records and bytes in flight; `write` waits for all of them beyond that."""
PAUSED_AFTER_S: Final = 10.0
"""Waiting for the broker counts as a pause once no record was acknowledged for this time."""
CLOSE_S: Final = 5.0
_SLICE_S: Final = 0.25
_BATCH_BYTES, _LEAST_BATCH_BYTES = 1_000_000, 16_384  # librdkafka's default of batch.size
_log = logging.getLogger("aftercall.kafka")

Fate = Literal["whole", "shortened", "refused"]


def _ignore(*_: object) -> None:
    """No-op callback."""


@dataclass(frozen=True, kw_only=True)
class WriterCallbacks:
    """Callbacks of the writer; they must return quickly.

    Attributes:
        beat: called several times a second while the writer waits for the broker.
        give_up: returns whether to stop waiting; if so, the writer raises `StoppedWaiting`.
        confirmed: called with a topic and the number of its records that the broker has newly acknowledged.
        refused: called with a topic and the client's name of the error when a record is refused for good.
        shortened: called with a topic when a record of it lost its long texts.
        passing_error: called with the name of an error that passes by itself.
    """

    beat: Callable[[], None] = _ignore
    give_up: Callable[[], bool] = lambda: False
    confirmed: Callable[[str, int], None] = _ignore
    refused: Callable[[str, str], None] = _ignore
    shortened: Callable[[str], None] = _ignore
    passing_error: Callable[[str], None] = _ignore


class KafkaWriter:
    """Writes blocks; `settle` returns once the broker has acknowledged all of them.

    Any thread may call it; a lock serves one at a time. The producer is created when the first part opens, and dropped
    when the last one closes.
    """

    def __init__(
        self,
        config: ClientConfig,
        dead_letters: str,
        callbacks: WriterCallbacks | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to write; `open` creates the producer.

        Args:
            config: from `producer_config`.
            dead_letters: the topic for dead letters of refused outputs.
            callbacks: called as `WriterCallbacks` describes; None: no callbacks.
            monotonic: a clock, in seconds.
        """
        self._config, self._dead_letters = config, dead_letters
        self._callbacks, self._monotonic = callbacks or WriterCallbacks(), monotonic
        self._lock = RLock()
        self._made: Producer | None = None
        self._parts = 0
        self._batch_bytes = int(config.get("batch.size", _BATCH_BYTES))
        self._written: list[tuple[str, Block]] = []
        self._records = self._bytes = 0
        self._extra = Counter[str]()
        """By topic, acknowledged records that are not in `_written`; refused ones that are in it count negative."""
        self._failed: list[tuple[str, str, bytes | None, KafkaError]] = []
        self._failure: KafkaFailure | None = None
        self._abandoned = False
        self._reason = ""
        self._left = 0
        self._waiting_since_s: float | None = None
        self._close_by_s: float | None = None

    def open(self) -> None:
        """Count an opened sink part, and create the producer if there is none.

        Raises:
            KafkaConfigError: librdkafka rejects the settings.
        """
        with self._lock:
            self._parts += 1
            self._producer()

    def write(self, topic: str, blocks: Sequence[Block]) -> None:
        """Send records. Returns before they are acknowledged, but waits while too many are in flight.

        Costs about 1 µs of this thread per record.

        Raises:
            KafkaFailure: the broker refuses the client for good; it may have some of the records that were sent.
        """
        with self._lock:
            self._raise_failure()
            producer = self._producer()
            for block in blocks:
                if self._records >= MOST_RECORDS or self._bytes >= MOST_BYTES:
                    self.settle()
                    producer = self._producer()
                self._write(producer, topic, block)
            self._serve(producer.poll, 0)
            self._raise_failure()

    def settle(self) -> None:
        """Wait until the broker has acknowledged everything, however long it is away.

        Raises:
            KafkaFailure: the broker refuses the client for good.
            StoppedWaiting: `give_up` returned True.
        """
        with self._lock:
            self._raise_failure()
            self._flush()
            while self._failed:
                self._resend_failed()
            for topic, block in self._written:
                self._extra[topic] += len(block)
            for topic, count in self._extra.items():
                self._callbacks.confirmed(topic, count)
            self._extra.clear()
            self._written.clear()
            self._records = self._bytes = 0

    def close(self) -> None:
        """Close a sink part; the last one drops the producer. Waits for at most `CLOSE_S`, and raises nothing.

        Bytewax calls it after the last snapshot, when everything is acknowledged, and also from a destructor when a
        step has failed: an exception would abort the process there. Records in flight then are of no committed epoch.
        """
        with self._lock:
            self._parts -= 1
            if self._failure is None:
                self._close_by_s = self._monotonic() + CLOSE_S
                try:
                    self.settle()
                except KafkaFailure as wrong:
                    _log.error("%s", wrong)
                self._close_by_s = None
            if self._parts == 0:
                self._made = None

    # --- sending -----------------------------------------------------------------------------------------------------

    def _write(self, producer: Producer, topic: str, block: Block) -> None:
        start = 0
        produce = producer.produce
        for i, (key, value) in enumerate(block):
            try:
                produce(topic, value, key or None)  # the client spreads records without a key over partitions
                error = None
            except (BufferError, KafkaException):
                error = self._produce(producer, topic, key, value)
            if error is not None:
                # The records before it are settled first, to keep the order.
                self._remember(topic, block[start:i])
                start = i + 1
                self.settle()
                if self._send_alone(topic, key, value, error) != "refused":
                    self._extra[topic] += 1
                producer = self._producer()
                produce = producer.produce
        self._remember(topic, block[start:] if start else block)

    def _remember(self, topic: str, block: Block) -> None:
        self._written.append((topic, block))
        self._records += len(block)
        self._bytes += sum(len(value or b"") for _, value in block)

    def _produce(self, producer: Producer, topic: str, key: str, value: bytes | None) -> KafkaError | None:
        """Hand a record to the client; returns its error if it rejects this record.

        Raises:
            KafkaFailure: the client rejects all records.
        """
        while True:
            try:
                producer.produce(topic, value, key or None)
            except BufferError:
                self._serve(producer.poll, _SLICE_S)
                self._raise_failure()
                self._wait(len(producer))
                continue
            except KafkaException as wrong:
                error = wrong.args[0]
                if is_fatal(error):
                    self._failure = self._failure or KafkaFailure(sentence(error, topic))
                    self._raise_failure()
                return error  # type: ignore[no-any-return]
            return None

    def _flush(self) -> None:
        """Wait until nothing is in flight. Refused records are in `_failed` then."""
        producer = self._producer()
        while True:
            # This call runs the callback of a record before it counts the record as delivered.
            left = self._serve(producer.flush, _SLICE_S)
            self._raise_failure()
            if not left:
                break
            self._wait(left)
        PAUSES.end("unacknowledged", "outputs")
        self._waiting_since_s = None
        self._reason = ""

    def _wait(self, left: int) -> None:
        """Call `beat` and `give_up`, and report a pause if `left` records stay unacknowledged for long.

        Raises:
            StoppedWaiting: `give_up` returned True, or `close` has waited long enough.
        """
        self._callbacks.beat()
        now = self._monotonic()
        if self._waiting_since_s is None or left < self._left:
            self._waiting_since_s = now
        self._left = left
        if self._callbacks.give_up() or (self._close_by_s is not None and now >= self._close_by_s):
            self._failure = StoppedWaiting(
                f"kafka: every record must be acknowledged before the state is stored; {left} were not by the deadline "
                f"to stop{self._reason_clause()} (start again once the broker is back: the last epoch is repeated)"
            )
            self._raise_failure()
        if now - self._waiting_since_s >= PAUSED_AFTER_S:
            sentence = f"{left} output records are not acknowledged{self._reason_clause()}; waiting"
            PAUSES.begin("unacknowledged", "outputs", sentence)

    # --- what was refused --------------------------------------------------------------------------------------------

    def _resend_failed(self) -> None:
        """Send failed records again one by one, each followed by all later ones of its key. Nothing is in flight."""
        failed, self._failed = self._failed, []
        first = dict[tuple[str, str], set[bytes | None]]()
        for topic, key, value, _ in failed:
            first.setdefault((topic, key), set()).add(value)
        reached = set[tuple[str, str]]()
        batch_too_large = False
        for topic, block in self._written:
            for key, value in block:
                place = topic, key
                if place not in first or (place not in reached and value not in first[place]):
                    continue
                reached.add(place)
                fate = self._send_alone(topic, key, value)
                batch_too_large |= fate == "whole" and value in first[place]
                self._extra[topic] -= fate == "refused"
        too_large = [record for record in failed if record[3].name() in TOO_LARGE]
        if batch_too_large and too_large:
            self._shrink_batches(too_large[0][0], sum(len(value or b"") for _, _, value, _ in too_large))

    def _send_alone(self, topic: str, key: str, value: bytes | None, error: KafkaError | None = None) -> Fate:
        """Send a record by itself, or else shortened, or else its dead letter. Nothing is in flight before and after.

        Args:
            topic: the topic that it is for.
            key: its key.
            value: its JSON; None for a tombstone.
            error: the client's error if it has rejected the record already.
        """
        error = error or self._send_one(topic, key, value)
        if error is None:
            return "whole"
        shorter = shortened(value) if value is not None and error.name() in TOO_LARGE else None
        if shorter is not None and self._send_one(topic, key, shorter) is None:
            _log.warning("%s: a record of %d bytes was shortened (%s)", topic, len(value or b""), error.name())
            self._callbacks.shortened(topic)
            return "shortened"
        self._report_refusal(topic, key, error)
        letter_error = self._send_one(self._dead_letters, key, refused_output(topic, value, error.name()))
        if letter_error is None:
            self._extra[self._dead_letters] += 1
        else:
            self._report_refusal(self._dead_letters, key, letter_error)
        return "refused"

    def _report_refusal(self, topic: str, key: str, error: KafkaError) -> None:
        _log.error("%s: the broker refuses the record of key %r for good: %s", topic, key, displayable(error.str()))
        self._callbacks.refused(topic, error.name())

    def _send_one(self, topic: str, key: str, value: bytes | None) -> KafkaError | None:
        """Send one record until it is acknowledged, or refused; returns the error in that case."""
        while True:
            error = self._produce(self._producer(), topic, key, value)
            if error is not None:
                return error
            self._flush()
            if not self._failed:
                return None
            error = self._failed.pop()[3]
            if not is_passing(error):
                return error
            self._on_error(error)
            time.sleep(_SLICE_S)
            self._wait(1)

    def _shrink_batches(self, topic: str, size: int) -> None:
        """Halve the size limit of batches, as the broker took these records, `size` bytes in all, only one by one.

        librdkafka does not split a batch that a topic with a lower max.message.bytes refuses.
        """
        if self._batch_bytes <= _LEAST_BATCH_BYTES:
            return
        self._batch_bytes = max(min(self._batch_bytes, size) // 2, _LEAST_BATCH_BYTES)
        _log.warning(
            "%s: the broker refused a batch as too large; batches have at most %d bytes now (raise the topic's "
            "max.message.bytes, or set batch.size under kafka.librdkafka to less than that)", topic, self._batch_bytes
        )  # fmt: skip
        self._made = None

    # --- the client --------------------------------------------------------------------------------------------------

    def _producer(self) -> Producer:
        if self._made is None:
            self._made = open_producer(
                ClientConfig(self._config | {"batch.size": self._batch_bytes}),
                on_delivery=self._on_delivery_failure,
                error_cb=self._on_error,
            )
        return self._made

    def _serve(self, serve: Callable[[float], int], timeout_s: float) -> int:
        """Run the client's callbacks by `poll` or `flush`, for at most `timeout_s`; returns what that returns."""
        try:
            return serve(timeout_s)
        except (KafkaException, SystemError) as wrong:
            # The client raises that it is dead; if a callback runs after that, Python wraps it in a SystemError, or the
            # client loses it ("returned NULL without setting an exception"): the next call raises it again.
            if isinstance(wrong, SystemError) and wrong.__cause__ is None:
                return len(self._producer())
            death = wrong.__cause__ if isinstance(wrong, SystemError) else wrong
            if not isinstance(death, KafkaException):
                raise
            self._failure = self._failure or KafkaFailure(sentence(death.args[0]))
            return 0

    def _on_delivery_failure(self, error: KafkaError, message: Message[Any, Any]) -> None:
        """Keep the error of a record. The client calls this in `poll` and `flush`, where an exception would be lost."""
        if self._abandoned:
            return
        topic, key = message.topic() or "", message.key() or b""
        if is_fatal(error):
            self._failure = self._failure or KafkaFailure(sentence(error, topic))
        else:
            self._failed.append((topic, key.decode(), message.value(), error))

    def _on_error(self, error: KafkaError) -> None:
        """Keep a fatal error, report a passing one; the client calls this as it calls `_on_delivery_failure`."""
        if is_fatal(error):
            self._failure = self._failure or KafkaFailure(sentence(error))
            return
        if error.name() != "_ALL_BROKERS_DOWN":
            self._reason = error.str()
        self._callbacks.passing_error(error.name())

    def _raise_failure(self) -> None:
        """Raise the failure that ended the writer, in each later call: nothing may count as written from then on."""
        if self._failure is None:
            return
        if not self._abandoned:
            self._abandoned = True
            PAUSES.end("unacknowledged", "outputs")
            self._producer().purge()  # or the process could not end
        raise self._failure

    def _reason_clause(self) -> str:
        return f": {displayable(self._reason)}" if self._reason else ""
