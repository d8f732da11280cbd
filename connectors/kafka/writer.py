"""The one producer of a process, shared by its sinks: nothing is lost, and the records of a key stay in order.

Whatever was written since everything was last acknowledged is remembered (as references to the blocks). Where the
broker refuses a record, or a batch because of one, those records and all later ones of their keys are sent again one by
one: otherwise an older record could come to lie after a newer one, and compaction would keep the wrong one.
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
from connectors.kafka.errors import KafkaFailure, StoppedWaiting, is_fatal, is_passing, said, sentence
from connectors.kafka.undeliverable import TOO_LARGE, refused_output, shortened

MOST_RECORDS: Final = 50_000
MOST_BYTES: Final = 64 * 1024 * 1024
"""Records and bytes of them on their way, at most; then they are waited for."""
SAY_EVERY_S: Final = 10.0
CLOSE_S: Final = 5.0
_SLICE_S: Final = 0.25
_BATCH_BYTES, _LEAST_BATCH_BYTES = 1_000_000, 16_384  # librdkafka's default of batch.size
_log = logging.getLogger("aftercall.kafka")

Fate = Literal["whole", "shortened", "refused"]


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, kw_only=True)
class WriterHooks:
    """Whom the writer tells and asks; the functions must be quick.

    Attributes:
        beat: called several times a second while it waits.
        give_up: whether to wait no longer: then `StoppedWaiting` is raised.
        confirmed: the broker has so many more records of a topic.
        refused: a record was refused for good, and the broker's name for that.
        shortened: a record of a topic lost its long texts.
        trouble: the name of an error that will pass by itself.
    """

    beat: Callable[[], None] = _ignore
    give_up: Callable[[], bool] = lambda: False
    confirmed: Callable[[str, int], None] = _ignore
    refused: Callable[[str, str], None] = _ignore
    shortened: Callable[[str], None] = _ignore
    trouble: Callable[[str], None] = _ignore


class KafkaWriter:
    """Writes blocks; `settle` returns once the broker has acknowledged all of them.

    Any thread may call it; one at a time is served. The producer is made when the first part opens, and let go when the
    last one closes.
    """

    def __init__(
        self,
        config: ClientConfig,
        dead_letters: str,
        hooks: WriterHooks | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is connected yet.

        Args:
            config: from `producer_config`.
            dead_letters: the topic for outputs that are refused.
            hooks: whom to tell.
            monotonic: a clock, in seconds.
        """
        self._config, self._dead_letters = config, dead_letters
        self._hooks, self._monotonic = hooks or WriterHooks(), monotonic
        self._lock = RLock()
        self._made: Producer | None = None
        self._parts = 0
        self._batch_bytes = int(config.get("batch.size", _BATCH_BYTES))
        self._written: list[tuple[str, Block]] = []
        self._records = self._bytes = 0
        self._besides = Counter[str]()
        """How many more records of a topic the broker has than those remembered."""
        self._failed: list[tuple[str, str, bytes | None, KafkaError]] = []
        self._failure: KafkaFailure | None = None
        self._abandoned = False
        self._reason = ""
        self._left = 0
        self._waiting_since_s: float | None = None
        self._said_s: float | None = None
        self._close_by_s: float | None = None

    def open(self) -> None:
        """A sink partition begins.

        Raises:
            KafkaConfigError: librdkafka does not take the settings.
        """
        with self._lock:
            self._parts += 1
            self._producer()

    def write(self, topic: str, blocks: Sequence[Block]) -> None:
        """Send records; returns before they are acknowledged, but waits while too many are on their way.

        Costs about 1 µs of this thread per record.

        Raises:
            KafkaFailure: the broker refuses us for good; what was sent may or may not have arrived.
        """
        with self._lock:
            self._check()
            producer = self._producer()
            for block in blocks:
                if self._records >= MOST_RECORDS or self._bytes >= MOST_BYTES:
                    self.settle()
                    producer = self._producer()
                self._write(producer, topic, block)
            self._served(producer.poll, 0)
            self._check()

    def settle(self) -> None:
        """Wait until the broker has acknowledged everything; however long it is away.

        Raises:
            KafkaFailure: the broker refuses us for good.
            StoppedWaiting: `give_up` said so.
        """
        with self._lock:
            self._check()
            self._flush()
            while self._failed:
                self._mend()
            for topic, block in self._written:
                self._besides[topic] += len(block)
            for topic, count in self._besides.items():
                self._hooks.confirmed(topic, count)
            self._besides.clear()
            self._written.clear()
            self._records = self._bytes = 0

    def close(self) -> None:
        """A sink partition ends; the last one lets the producer go. Waits for at most `CLOSE_S`, and raises nothing.

        Bytewax calls it after the last snapshot, when all is settled, and also from a destructor when any step has
        failed: an exception would abort the process there. What is still on its way then is of no committed epoch.
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
                produce(topic, value, key or None)  # records without a key are spread
                error = None
            except (BufferError, KafkaException):
                error = self._produce(producer, topic, key, value)
            if error is not None:
                # Those before it first, so that the order holds.
                self._remember(topic, block[start:i])
                start = i + 1
                self.settle()
                if self._alone(topic, key, value, error) != "refused":
                    self._besides[topic] += 1
                producer = self._producer()
                produce = producer.produce
        self._remember(topic, block[start:] if start else block)

    def _remember(self, topic: str, block: Block) -> None:
        self._written.append((topic, block))
        self._records += len(block)
        self._bytes += sum(len(value or b"") for _, value in block)

    def _produce(self, producer: Producer, topic: str, key: str, value: bytes | None) -> KafkaError | None:
        """Hand a record to the client; returns why that does not want it.

        Raises:
            KafkaFailure: it wants none at all.
        """
        while True:
            try:
                producer.produce(topic, value, key or None)
            except BufferError:
                self._served(producer.poll, _SLICE_S)
                self._check()
                self._wait(len(producer))
                continue
            except KafkaException as wrong:
                error = wrong.args[0]
                if is_fatal(error):
                    self._failure = self._failure or KafkaFailure(sentence(error, topic))
                    self._check()
                return error  # type: ignore[no-any-return]
            return None

    def _flush(self) -> None:
        """Wait until nothing is on its way. What was refused stands in `_failed` then."""
        producer = self._producer()
        while True:
            # Callbacks of this very call are done before it counts a record as gone.
            left = self._served(producer.flush, _SLICE_S)
            self._check()
            if not left:
                break
            self._wait(left)
        if self._waiting_since_s is not None and self._said_s is not None:
            _log.warning("kafka: the broker answers again, after %.0f s", self._monotonic() - self._waiting_since_s)
        self._waiting_since_s = self._said_s = None
        self._reason = ""

    def _wait(self, left: int) -> None:
        """Tell others that we wait.

        Raises:
            StoppedWaiting: `give_up` said so.
        """
        self._hooks.beat()
        now = self._monotonic()
        if self._waiting_since_s is None or left < self._left:
            self._waiting_since_s = now
        self._left = left
        if self._hooks.give_up() or (self._close_by_s is not None and now >= self._close_by_s):
            self._failure = StoppedWaiting(
                f"kafka: every record must be acknowledged before the state is stored; {left} were not when the time "
                f"to stop was over{self._because()} (start again once the broker is back: the last epoch is repeated)"
            )
            self._check()
        if now - max(self._said_s or 0.0, self._waiting_since_s) >= SAY_EVERY_S:
            self._said_s = now
            waited = now - self._waiting_since_s
            _log.warning("kafka: %d records not acknowledged for %.0f s; waiting%s", left, waited, self._because())

    # --- what was refused --------------------------------------------------------------------------------------------

    def _mend(self) -> None:
        """Send what failed again, and all later records of the same keys after it. Nothing is on its way."""
        failed, self._failed = self._failed, []
        first = dict[tuple[str, str], set[bytes | None]]()
        for topic, key, value, _ in failed:
            first.setdefault((topic, key), set()).add(value)
        reached = set[tuple[str, str]]()
        narrow = False
        for topic, block in self._written:
            for key, value in block:
                place = topic, key
                if place not in first or (place not in reached and value not in first[place]):
                    continue
                reached.add(place)
                fate = self._alone(topic, key, value)
                narrow |= fate == "whole" and value in first[place]
                self._besides[topic] -= fate == "refused"
        too_large = [one for one in failed if one[3].name() in TOO_LARGE]
        if narrow and too_large:
            self._narrow(too_large[0][0], sum(len(value or b"") for _, _, value, _ in too_large))

    def _alone(self, topic: str, key: str, value: bytes | None, error: KafkaError | None = None) -> Fate:
        """Get a record off by itself, or what can be said in its place. Nothing is on its way before and after.

        Args:
            topic: where to.
            key: its key.
            value: its JSON.
            error: why the client does not want it, where that is known.
        """
        error = error or self._try(topic, key, value)
        if error is None:
            return "whole"
        shorter = shortened(value) if value is not None and error.name() in TOO_LARGE else None
        if shorter is not None and self._try(topic, key, shorter) is None:
            _log.warning("%s: a record of %d bytes was shortened (%s)", topic, len(value or b""), error.name())
            self._hooks.shortened(topic)
            return "shortened"
        self._refused(topic, key, error)
        again = self._try(self._dead_letters, key, refused_output(topic, value, error.name()))
        if again is None:
            self._besides[self._dead_letters] += 1
        else:
            self._refused(self._dead_letters, key, again)
        return "refused"

    def _refused(self, topic: str, key: str, error: KafkaError) -> None:
        _log.error("%s: the broker refuses the record of key %r for good: %s", topic, key, said(error.str()))
        self._hooks.refused(topic, error.name())

    def _try(self, topic: str, key: str, value: bytes | None) -> KafkaError | None:
        """Send one record until it arrives or is refused; returns why it is."""
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
            self._trouble(error)
            time.sleep(_SLICE_S)
            self._wait(1)

    def _narrow(self, topic: str, size: int) -> None:
        """Records that are sound one by one, `size` bytes in all, were too large together: smaller batches from now on.

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
                on_delivery=self._not_delivered,
                error_cb=self._trouble,
            )
        return self._made

    def _served(self, serve: Callable[[float], int], timeout_s: float) -> int:
        """Let the client call back, for so long at most."""
        try:
            return serve(timeout_s)
        except (KafkaException, SystemError) as wrong:
            # That it is dead, the client raises; where it calls back once more after that, Python wraps it.
            dead = wrong.__cause__ if isinstance(wrong, SystemError) else wrong
            if not isinstance(dead, KafkaException):
                raise
            self._failure = self._failure or KafkaFailure(sentence(dead.args[0]))
            return 0

    def _not_delivered(self, error: KafkaError, message: Message[Any, Any]) -> None:
        """Called by the client from within `poll` and `flush`, where an exception would be lost."""
        if self._abandoned:
            return
        topic, key = message.topic() or "", message.key() or b""
        if is_fatal(error):
            self._failure = self._failure or KafkaFailure(sentence(error, topic))
        else:
            self._failed.append((topic, key.decode(), message.value(), error))

    def _trouble(self, error: KafkaError) -> None:
        """Likewise."""
        if is_fatal(error):
            self._failure = self._failure or KafkaFailure(sentence(error))
            return
        if error.name() != "_ALL_BROKERS_DOWN":
            self._reason = error.str()
        self._hooks.trouble(error.name())

    def _check(self) -> None:
        """Raise what ended it, to everybody who asks: nothing may count as written from then on."""
        if self._failure is None:
            return
        if not self._abandoned:
            self._abandoned = True
            self._producer().purge()  # so that the process can end
        raise self._failure

    def _because(self) -> str:
        return f": {said(self._reason)}" if self._reason else ""
