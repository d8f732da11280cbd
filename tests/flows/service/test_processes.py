"""The processes of one pipeline: where they find each other, and how they end."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from aftercall.errors import ExitCode
from flows.runtime.run_folder import RunError
from flows.service import processes as members
from flows.service.signals import Stopping


def test_addresses_differ_and_are_none_that_a_system_gives_to_outgoing_connections() -> None:
    addresses = members.free_addresses(12)
    assert len(set(addresses)) == 12
    assert all(int(address.rpartition(":")[2]) in members.PORTS for address in addresses)
    assert members.PORTS[-1] < 32_768, "where Linux begins to"


def test_a_port_on_which_another_program_listens_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(members, "PORTS", range(port, port + 1))
        with pytest.raises(RunError, match=rf"1 ports of {port}-{port} must be free"):
            members.free_addresses(1)


def test_where_processes_end_over_wrong_settings_the_command_ends_with_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "lock").open("w") as lock, pytest.raises(RunError) as caught:
        members.run_members(["run", "--config", "nowhere.toml"], 2, lock.fileno(), Stopping())
    assert "0 (exit code 2)" in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "aftercall: nowhere.toml: the settings cannot be read" in capfd.readouterr().err


def test_processes_that_are_stopped_before_they_handle_signals_have_ended_in_order(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Python takes a second to start; a stop may come before."""
    monkeypatch.setattr(sys, "executable", "sleep")
    stopping = Stopping()
    stopping.begin()
    monkeypatch.setattr(members, "_arguments", lambda *_: ["600"], raising=True)
    with (tmp_path / "lock").open("w") as lock:
        members.run_members([], 2, lock.fileno(), stopping)


def test_processes_that_others_have_ended_have_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "bash")
    monkeypatch.setattr(members, "_arguments", lambda *_: ["-c", "kill -TERM $$"], raising=True)
    with (tmp_path / "lock").open("w") as lock, pytest.raises(RunError, match=r"\(exit code -15\)"):
        members.run_members([], 2, lock.fileno(), Stopping())
