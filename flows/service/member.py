"""Runs one process of a service: the dataflow, with its health server, until it is stopped."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass

from aftercall.errors import user_error
from connectors.kafka.client import admin_config
from connectors.kafka.metadata import MetadataPoller
from connectors.kafka.progress_board import ProgressBoard
from connectors.pauses import PAUSES
from flows.runtime.engine import PeerLost, execute
from flows.runtime.kafka import finish, inputs
from flows.service import health_server, logs
from flows.service.allocator import limit_arenas
from flows.service.health import Health
from flows.service.health_server import Server
from flows.service.kafka_flow import kafka_flow
from flows.service.peer_health import watch_peers
from flows.service.process_exit import exits_at_once
from flows.service.report import reporting
from flows.service.service_run import ServiceRun
from flows.service.signals import Stopping, die_with_parent
from models.drift import load_river

_log = logging.getLogger("aftercall.run")


@dataclass(frozen=True)
class Member:
    """One process of a run: its number and the addresses of all processes; no addresses for a single process."""

    number: int = 0
    addresses: tuple[str, ...] = ()


def run_as_member(service: ServiceRun, member: Member) -> None:
    """Run one of several processes. Its parent holds our standard input, and has checked folder and broker."""
    stopping = Stopping(logs=False)
    stopping.install()
    die_with_parent(sys.stdin)
    try:
        with exits_at_once():
            work(service, member, stopping)
    except PeerLost as error:
        _log.warning("%s", error)
        sys.exit(error.exit_code)


def work(service: ServiceRun, member: Member, stopping: Stopping, listening: Server | None = None) -> None:
    """Run one process of the dataflow until it is stopped. `listening`: a server that answers its probes already."""
    settings = service.settings
    limit_arenas()
    load_river()
    logs.configure(settings.service.log_level, member.number)
    poll_every_s = min(2.0, settings.join.idle_after.total_seconds() / 4)
    read_to_us = ProgressBoard(service.out / "state" / "lead", settings.kafka.lanes).read_to
    poller = MetadataPoller(
        admin_config(settings.kafka.cluster()),
        inputs(settings.kafka),
        poll_every_s,
        read_to_us,
        on_defect=stopping.fail,
        optional=settings.kafka.topics.marks,
    )
    health = Health(
        stalled_after=settings.service.stalled_after,
        snapshot_every=settings.snapshot.every,
        pauses=PAUSES,
    )
    if member.number == 0:
        watch_peers(health, settings.service, len(member.addresses))
    server = health_server.listen(settings.service, member.number, health, stopping.fail, listening)
    state = service.out / "state"
    flow, sinks = kafka_flow(service, poller, health, stopping)
    try:
        with reporting(member.number, max(1, len(member.addresses)), stopping.fail):
            execute(
                flow,
                state / f"engine-{member.number}.log",
                epoch=settings.recovery.epoch,
                recovery=state / "recovery",
                process=member.number,
                addresses=member.addresses,
            )
            finish(sinks)
    except Exception as error:
        if isinstance(error, OSError):
            _log.error("ended, as the system refused something: %s", error)
        elif user_error(error) is None:
            _log.error("ended by a defect of aftercall, %r; its traceback follows", error)
        raise
    finally:
        poller.close()
        if server is not None:
            server.close()
