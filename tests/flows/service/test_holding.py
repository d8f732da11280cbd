"""When lanes read nothing, and when an epoch may be stored."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from aftercall.times import HOUR_US, MINUTE_US
from connectors.kafka.claim_board import LEASE_S, ClaimBoard
from connectors.kafka.client import StoppedWaiting
from connectors.metrics import Metrics
from connectors.pauses import Pauses
from flows.service import holding as holding_module
from flows.service.holding import Holding


class Host:
    """The clocks of a host, the board that a parent keeps, and what a process decides by it."""

    def __init__(self, folder: Path) -> None:
        self.monotonic_us, self.wall_us = 10**9, 10**15
        self.parent, self.holding = self.board(folder), Holding(self.board(folder), timedelta(minutes=5))

    def board(self, folder: Path) -> ClaimBoard:
        return ClaimBoard(
            folder / "claim", monotonic_ns=lambda: self.monotonic_us * 1000, wall_ns=lambda: self.wall_us * 1000
        )

    def beat(self) -> None:
        self.monotonic_us += 1
        self.parent.confirm(self.monotonic_us * 1000)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Pauses:
    made = Pauses(Metrics(), linger_s=0)
    monkeypatch.setattr(holding_module, "PAUSES", made)
    return made


@pytest.fixture
def host(tmp_path: Path, pauses: Pauses) -> Host:
    del pauses
    return Host(tmp_path)


def test_lanes_hold_while_the_clock_is_too_far_behind_and_go_on_by_themselves(host: Host, pauses: Pauses) -> None:
    for _ in range(2):
        host.parent.sight(host.wall_us)
    host.wall_us -= 5 * MINUTE_US
    assert not host.holding()
    host.wall_us -= 1
    assert host.holding()
    host.wall_us -= HOUR_US
    assert host.holding()
    (reason,) = pauses.reasons()
    assert reason.startswith("host_clock: the clock of this host is 65m behind the broker's, and 5m are allowed")
    host.wall_us += HOUR_US + 1
    assert not host.holding()
    assert pauses.reasons() == []


def test_lanes_hold_while_the_claim_is_not_confirmed_and_not_without_one(host: Host, pauses: Pauses) -> None:
    host.monotonic_us += 10**9
    assert not host.holding(), "there is no claim"
    host.beat()
    host.monotonic_us += int(LEASE_S * 1e6)
    assert not host.holding()
    host.monotonic_us += 1
    assert host.holding()
    assert host.parent.is_asked()
    assert pauses.names() == ["claim"]
    host.beat()
    assert not host.holding()
    assert pauses.names() == []


def test_while_no_broker_answers_that_alone_is_the_reason(host: Host, pauses: Pauses) -> None:
    host.beat()
    host.monotonic_us += 10**9
    pauses.begin("broker", "broker", "it does not answer")
    assert host.holding()
    assert pauses.names() == ["broker"]


def test_an_epoch_is_stored_after_a_heartbeat_that_began_later(host: Host) -> None:
    host.beat()
    beats = 0

    def beat() -> None:
        nonlocal beats
        beats += 1
        if beats == 3:
            host.beat()

    host.holding.confirm(beat, lambda: False, lambda: False)
    assert beats == 3
    with pytest.raises(StoppedWaiting, match="must be confirmed before the state is stored"):
        host.holding.confirm(lambda: None, lambda: True, lambda: False)
    host.holding.confirm(lambda: None, lambda: True, lambda: True)


def test_without_a_claim_an_epoch_waits_for_nothing(host: Host) -> None:
    host.holding.confirm(lambda: pytest.fail("it waits"), lambda: True, lambda: False)


def test_records_show_the_clock_only_where_heartbeats_do_not(host: Host) -> None:
    assert host.holding.too_early(10**17)
    assert host.holding()
    host.parent.sight(host.wall_us)
    assert not host.holding.too_early(10**17)
