"""A handler that is decorated answers once what it emitted was sent: its process may be frozen right after."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from aftercall import Client
from aftercall.testing import MemoryTransport

MANY = 200


def emitting(client: Client) -> None:
    for number in range(MANY):
        client.outcome(f"c{number}", source="judge", success=True)


def test_the_flushes_decorator_leaves_nothing_behind() -> None:
    memory = MemoryTransport(at_once=False)
    client = Client(transport=memory, spool=None)

    @client.flushes
    def handler(event: dict[str, Any]) -> int:
        emitting(client)
        return len(event)

    @client.flushes
    async def later() -> str:
        emitting(client)
        await asyncio.sleep(0)
        return "done"

    @client.flushes
    def failing() -> None:
        emitting(client)
        raise ValueError("its own")

    assert inspect.iscoroutinefunction(later)
    # Two seconds are what a handler waits at most; a busy machine may need more for the first import of pydantic.
    client.outcome("warm", source="judge", success=True)
    assert client.flush(600)
    assert handler({"a": 1}) == 1
    assert settled(client, memory) == MANY
    assert asyncio.run(later()) == "done"
    assert settled(client, memory) == 2 * MANY
    with pytest.raises(ValueError, match="its own"):
        failing()
    assert settled(client, memory) == 3 * MANY
    client.close()


def settled(client: Client, memory: MemoryTransport) -> int:
    """How many were sent by the time the handler answered, and no other one waits; without a wait here."""
    stats = client.stats()
    assert stats.in_memory + stats.in_spool + stats.handed_over == 0
    return len(memory.outcomes) - 1
