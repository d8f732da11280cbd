"""Sends events to Kafka. confluent-kafka (`pip install 'aftercall[kafka]'`) is imported when it is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aftercall.transports.transport import Message, Receipt, UnavailableError

if TYPE_CHECKING:
    from confluent_kafka import Producer

DEFAULTS: Final[Mapping[str, Any]] = {
    "enable.idempotence": True,
    # With more, librdkafka can take a batch that a broker refused for one that it has, because it took the next (0046).
    "max.in.flight.requests.per.connection": 1,
    "compression.type": "zstd",
    "partitioner": "murmur2_random",  # as clients in Java, Go and JavaScript do: calls meet their outcomes
    "linger.ms": 20,
    "message.timeout.ms": 0,  # what is in flight is bounded by the emitter, and waits for the broker
    "message.max.bytes": 1_200_000,
    "queue.buffering.max.messages": 10_000,
    "queue.buffering.max.kbytes": 16_384,
    "log_level": 0,  # by default librdkafka writes to standard error
}
"""Settings of librdkafka that differ from its own; any may be given another value."""
_REFUSED: Final = (2, 10, 18, 44, 87)
"""Errors that sending again does not cure: a corrupt or too large message, too large a batch, a policy, a schema."""

TROUBLES: Final[Mapping[str, str]] = {
    "_ALL_BROKERS_DOWN": "no connection to a broker",
    "_AUTHENTICATION": "the broker refuses the login",
    "_RESOLVE": "the name of a broker cannot be resolved",
    "_SSL": "the connection cannot be encrypted",
    "_TRANSPORT": "no connection to a broker",
}
"""Errors of the client that are logged, once each; their own texts may quote settings."""


class KafkaTransport:
    """Topics for calls and outcomes, both with the `call_id` (of a session's outcome: `session_id`) as record key.

    `settings` are those of librdkafka, for TLS and logins among others. A broker that is away makes events wait.
    """

    at_once = False

    def __init__(
        self,
        brokers: str,
        settings: Mapping[str, Any] | None = None,
        *,
        calls: str = "agent.calls",
        outcomes: str = "agent.outcomes",
    ) -> None:
        self._settings = {**DEFAULTS, "bootstrap.servers": brokers, **(settings or {})}
        self._topics = {"calls": calls, "outcomes": outcomes}
        self._producer: Producer | None = None
        self._receipts: list[Receipt] = []
        self._fatal: str | None = None
        self._logged: set[str] = set()

    @property
    def destination(self) -> str:
        """Brokers and topics."""
        return f"kafka:{self._settings['bootstrap.servers']}/{self._topics['calls']}/{self._topics['outcomes']}"

    def open(self) -> None:
        """Import the client, and begin to connect.

        Raises:
            UnavailableError: confluent-kafka is not installed, or refuses the settings.
        """
        try:
            from confluent_kafka import KafkaException, Producer
        except ImportError as wrong:
            raise UnavailableError(f"confluent-kafka cannot be imported ({wrong}): install aftercall[kafka]") from None
        try:
            self._producer = Producer({**self._settings, "error_cb": self._error})
        except (KafkaException, TypeError, ValueError) as wrong:
            raise UnavailableError(f"the client refuses its settings: {wrong}") from None
        self._fatal = None

    def offer(self, messages: Sequence[tuple[int, Message]]) -> int:
        """Hand over to librdkafka, as many as it has room for."""
        from confluent_kafka import KafkaException

        producer = self._opened()
        for accepted, (number, message) in enumerate(messages):
            delivered = partial(self._delivered, number)
            try:
                producer.produce(self._topics[message.kind], message.value, message.key, on_delivery=delivered)
            except BufferError:
                return accepted
            except KafkaException as wrong:
                self._delivered(number, wrong.args[0], None)
        producer.poll(0)
        return len(messages)

    def _opened(self) -> Producer:
        if self._fatal is not None or self._producer is None:
            raise UnavailableError(self._fatal or "is closed")
        return self._producer

    def _delivered(self, number: int, error: Any, _: object) -> None:
        if error is None:
            self._receipts.append(Receipt(number, "acknowledged"))
        else:
            refused = error.code() in _REFUSED
            self._receipts.append(Receipt(number, "refused" if refused else "failed", error.name()))

    def _error(self, error: Any) -> None:
        if error.fatal():
            self._fatal = f"the client has ended: {error.name()}"
        elif (trouble := TROUBLES.get(error.name())) is not None and trouble not in self._logged:
            import logging

            self._logged.add(trouble)
            logging.getLogger("aftercall").warning("aftercall: %s; events wait in the spool", trouble)

    def receipts(self, wait_s: float) -> list[Receipt]:
        """Serve librdkafka's callbacks.

        Raises:
            RuntimeError: the client cannot go on and must be opened again.
        """
        if self._producer is not None:
            self._producer.poll(0 if self._receipts else wait_s)
        receipts, self._receipts = self._receipts, []
        if self._fatal is not None and not receipts:
            raise RuntimeError(self._fatal)
        return receipts

    def close(self, timeout_s: float) -> None:
        """Drop what was not acknowledged: it is in the spool."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge(in_queue=True, in_flight=True, blocking=False)
            producer.poll(0)
        self._receipts = []

    def abandon(self) -> object:
        """A producer of the parent has no threads here: it could neither send nor end."""
        producer, self._producer = self._producer, None
        self._receipts, self._fatal = [], None
        return producer
