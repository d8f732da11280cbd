"""Guards over contracts that a test writes down, and the functions of their rules of code."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aftercall import Client, Guard, guard
from aftercall.testing import MemoryTransport
from harness.waiting import HANG_S

SHORT = {"id": "short", "type": "output_length", "unit": "words", "max": 3}
POLITE = {"id": "polite", "type": "prohibited_topics", "topics": {"insults": ["you fool"]}, "severity": "critical"}
SLOW = {"id": "fast", "type": "latency", "max": 60_000}


def code(name: str, **more: Any) -> dict[str, Any]:
    """A rule that a function of this module judges."""
    return {"id": name.replace("_", "-"), "type": "python", "function": f"harness.guarding:{name}", **more}


def written(folder: Path, *rules: Mapping[str, Any], name: str = "refund", **head: Any) -> Path:
    """The file of a contract with these rules."""
    path = folder / f"{name}-{head.get('version', '1')}.json"
    content = {"contract": name, "version": "1", "tasks": ["refund"], "rule": rules, **head}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return path


@contextmanager
def guarding(contracts: Path, *, at_once: bool = False, client: Client | None = None, **how: Any) -> Iterator[Guard]:
    """A guard of calls to the model `m`; its client's events are in `sent(guard)`."""
    client = client or Client(transport=MemoryTransport(at_once=at_once), spool=None)
    guarded = guard(contracts, client, **{"model": "m", **how})
    try:
        yield guarded
    finally:
        release.set()
        guarded.close(0.0)
        client.close(0.0)


def sent(guarded: Guard) -> list[dict[str, Any]]:
    """The calls that its client has sent, all of them."""
    client = guarded._client
    assert client.flush(HANG_S)
    assert client.stats().balanced
    assert client._emitter is not None
    transport = client._emitter._transport or client._emitter._sender.delivery.transport
    assert isinstance(transport, MemoryTransport)
    return transport.calls


# --- rules ---

release = threading.Event()
"""What `hangs` waits for; a test clears it first."""


def has_order(call: Mapping[str, Any]) -> bool:
    return "order" in str(call["output"])


def has_order_in_words(call: Mapping[str, Any]) -> tuple[bool, str]:
    return "order" in str(call["output"]), f"looked into: {call['output']}"


def does_not_say(call: Mapping[str, Any]) -> None:
    return None


def hangs(call: Mapping[str, Any]) -> bool:
    return release.wait(HANG_S)


def raises(call: Mapping[str, Any]) -> bool:
    raise LookupError(f"no order in {call['output']}")


def exits(call: Mapping[str, Any]) -> bool:
    raise SystemExit(3)


def counts(call: Mapping[str, Any]) -> int:
    return len(str(call["output"]))
