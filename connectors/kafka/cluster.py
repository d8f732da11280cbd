"""Describes a Kafka cluster: its brokers, the user's client settings, and the secrets among them.

Every text that may quote a setting goes through `hide_secrets`, which hides the secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aftercall.errors import UsageError

Value = str | bool | int | float

OWN_KEYS: Final = {
    "bootstrap.servers": "set kafka.brokers instead",
    "metadata.broker.list": "set kafka.brokers instead",
    "group.id": "set kafka.group_id instead",
    "enable.auto.commit": "positions are stored with the state",
    "auto.commit.enable": "positions are stored with the state",
    "enable.auto.offset.store": "positions are stored with the state",
    "auto.offset.reset": "an expired position must be reported, not skipped",
    "enable.partition.eof": "the watermark needs the ends of partitions",
    "enable.idempotence": "records must be written in order, and once",
    "max.in.flight.requests.per.connection": "with more than one, records can be lost and reported as delivered",
    "max.in.flight": "with more than one, records can be lost and reported as delivered",
    "acks": "records must be on all replicas before an epoch counts",
    "request.required.acks": "records must be on all replicas before an epoch counts",
    "message.timeout.ms": "no record may be dropped because the broker is away",
    "delivery.timeout.ms": "no record may be dropped because the broker is away",
    "retries": "no record may be dropped because the broker is away",
    "message.send.max.retries": "no record may be dropped because the broker is away",
    "transactional.id": "outputs are not written in transactions",
    "partitioner": "all records of a key must go to the partition where its older ones are",
    "delivery.report.only.error": "it is set as the pipeline needs it",
}
"""Keys of librdkafka that a user may not set, and why."""

_SECRET = re.compile(r"^(sasl|ssl)\.|password|secret|token|credential|jaas|pem|key|proxy")
_OPEN = re.compile(r"sasl\.(mechanisms?|username)|ssl\..*\.(algorithm|location)|sasl\.oauthbearer\.method")
_SHORTEST: Final = 4
_secrets: set[str] = set()


class KafkaConfigError(UsageError):
    """A setting for Kafka is wrong. The message is one sentence for the user."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The address of the brokers, and the settings to connect to them.

    Attributes:
        brokers: `host:port`, separated by commas.
        group_id: the consumer group to which positions are committed, for lag tools.
        librdkafka: settings of the client; none of `OWN_KEYS`.
        librdkafka_files: settings whose value is read from a file, such as a mounted secret: key and path.
    """

    brokers: str
    group_id: str = "aftercall"
    librdkafka: Mapping[str, Value] = field(default_factory=dict, repr=False)
    librdkafka_files: Mapping[str, str] = field(default_factory=dict)

    def properties(self) -> dict[str, Value]:
        """The user's settings for the client. Reads the files at each call, so that a changed secret takes effect.

        From then on `hide_secrets` hides the secrets among them.

        Raises:
            KafkaConfigError: a file cannot be read.
        """
        from_files = {key: _content(key, Path(path)) for key, path in self.librdkafka_files.items()}
        _secrets.update(from_files.values())
        _secrets.update(
            value for key, value in self.librdkafka.items() if isinstance(value, str) and may_be_secret(key)
        )
        return {**self.librdkafka, **from_files}


class ClientConfig(dict[str, Any]):
    """A configuration of the client, whose `repr` shows no secret."""

    def __repr__(self) -> str:
        return repr({key: "***" if may_be_secret(key) else value for key, value in self.items()})


def may_be_secret(key: str) -> bool:
    """Whether the value of this key of librdkafka may not be shown.

    >>> [key for key in ("sasl.password", "sasl.username", "ssl.key.pem", "linger.ms") if may_be_secret(key)]
    ['sasl.password', 'ssl.key.pem']
    """
    return bool(_SECRET.search(key)) and not _OPEN.fullmatch(key)


def hide_secrets(text: str) -> str:
    """The text on one line, with every secret read so far replaced by `***`.

    Secrets under 4 characters are left, as ordinary words contain them.
    """
    for secret in sorted(_secrets, key=len, reverse=True):
        if len(secret.strip()) >= _SHORTEST:
            text = text.replace(secret, "***")
    return " ".join(text.split())


def _content(key: str, path: Path) -> str:
    place = f'kafka.librdkafka_files: "{key}"'
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as wrong:
        message = f"{place} must name a file that can be read; {path}: {wrong.strerror} (mount it, or correct the path)"
    except UnicodeDecodeError:
        message = f"{place} must name a file of UTF-8 text; {path} is none (save it as such)"
    else:
        value = text.removesuffix("\n").removesuffix("\r")  # added by an editor or `echo`; the rest may be part of it
        if value and "\0" not in value:
            return value
        message = f"{place} must name a file that holds the value; {path} is {'binary' if value else 'empty'} (fill it)"
    raise KafkaConfigError(message)
