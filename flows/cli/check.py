"""What `aftercall check` tells: the settings as TOML that can be read back, and what the broker has to say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from flows.settings.sections import Kafka

MASK = "***"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(effective: Mapping[str, Any]) -> str:
    """All settings as TOML; what is not set, and what is masked, stands in comments.

    >>> print(as_toml({"a": {"b": 1, "c": None, "d": {"e.f": "***"}}}), end="")
    [a]
    b = 1
    # c is not set
    <BLANKLINE>
    [a.d]
    # "e.f" is set, and not shown
    """
    tables = _tables((), effective)
    return "\n".join("\n".join([*head, *lines]) + "\n" for head, lines in tables if lines)


class Finding(NamedTuple):
    """One line: whether it is well, and what was found."""

    level: Literal["ok", "warning", "error"]
    sentence: str


def ask_broker(kafka: Kafka, timeout_s: float = 15.0) -> list[Finding]:
    """Reach the broker, and see whether it has what `aftercall run` needs. Writes nothing.

    Raises:
        KafkaConfigError: the settings for the client cannot be used.
        KafkaFailure: no broker answers, or it refuses the credentials.
    """
    from connectors.kafka.client import admin_config, open_admin, reach
    from connectors.kafka.topics import INPUTS, differences

    cluster, names = kafka.cluster(), kafka.topics.model_dump()
    inputs = [name for key, name in names.items() if key in INPUTS]
    outputs = [name for key, name in names.items() if key not in INPUTS]
    found = reach(cluster, inputs=inputs, outputs=outputs, timeout_s=timeout_s, rights=True)
    told = [Finding("ok", f"kafka: reached {found.brokers} broker(s) of cluster {found.cluster_id}")]
    differing = differences(open_admin(admin_config(cluster)), names, found.partitions)
    forbidden = dict(found.forbidden)
    for key, name in names.items():
        if name in found.missing:
            told.append(
                Finding(
                    "error",
                    f"kafka.topics.{key}: the topic must exist, and this user may see it; {name} does not "
                    "(make it with `aftercall topics create`, or name another)",
                )
            )
        elif name in forbidden:
            told.append(
                Finding("error", f"{name}: this user must be allowed to {forbidden[name]} it; it is not (grant it)")
            )
        else:
            told.append(Finding("ok", f"{name}: {found.partitions[name]} partitions"))
        told += [Finding("warning", sentence) for sentence in differing.get(name, ())]
    return told


def _tables(path: tuple[str, ...], table: Mapping[str, Any]) -> Iterator[tuple[list[str], list[str]]]:
    """Heading and lines of a table, then of those within it."""
    heading = [f"[{'.'.join(map(_key, path))}]"] if path else []
    yield heading, [_line(key, value) for key, value in table.items() if not isinstance(value, Mapping)]
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _tables((*path, key), value)


def _line(key: str, value: Any) -> str:
    if value is None:
        return f"# {_key(key)} is not set"
    if value == MASK:
        return f"# {_key(key)} is set, and not shown"
    return f"{_key(key)} = {_text(value)}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(value: Any) -> str:
    # JSON's strings, numbers, booleans and lists are TOML's too, but for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
