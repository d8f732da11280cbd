"""Where the processes of one pipeline find each other."""

from __future__ import annotations

import socket

import pytest

from flows.runtime.run_folder import RunError
from flows.service import processes as members


def test_addresses_differ_and_are_none_that_a_system_gives_to_outgoing_connections() -> None:
    addresses = members.free_addresses(12)
    assert len(set(addresses)) == 12
    assert all(int(address.rpartition(":")[2]) in members.PORTS for address in addresses)
    assert members.PORTS[-1] < 32_768, "where Linux begins to"


def test_a_port_on_which_somebody_listens_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(members, "PORTS", range(port, port + 1))
        with pytest.raises(RunError, match=rf"1 ports of {port}-{port} must be free"):
            members.free_addresses(1)
