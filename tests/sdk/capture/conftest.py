"""A client whose events are in memory the moment they are made, and which raises what is wrong with them."""

from __future__ import annotations

import pytest

from aftercall import Client
from aftercall.testing import MemoryTransport


@pytest.fixture
def memory() -> MemoryTransport:
    return MemoryTransport()


@pytest.fixture
def client(memory: MemoryTransport) -> Client:
    return Client(transport=memory)
