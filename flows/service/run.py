"""Runs the pipeline as a service between Kafka topics.

A run may be killed at any moment: the same command resumes it at its last epoch.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from math import inf
from pathlib import Path
from secrets import token_hex
from typing import Final

from bytewax.dataflow import Dataflow

from aftercall import __version__
from aftercall.errors import ExitCode, UsageError, user_error
from aftercall.times import duration_us
from connectors.dead_letters import place_origin
from connectors.decode.decoder import Decoder
from connectors.kafka.client import KafkaFailure, Reached, admin_config, consumer_config
from connectors.kafka.lane_settings import LaneCallbacks, LaneSettings
from connectors.kafka.metadata import MetadataPoller
from connectors.kafka.progress_board import ProgressBoard
from connectors.kafka.source import KafkaLanes
from connectors.kafka.waiting_board import WaitingBoard
from connectors.metrics import METRICS
from connectors.pauses import PAUSES
from flows.dataflow.erasing import Erasing
from flows.dataflow.shards import SHARDS
from flows.dataflow.snapshot_sink import SnapshotSettings, SnapshotSink
from flows.dataflow.steps import Joining
from flows.erase.stopped import catch_up
from flows.outcomes import Outlets, outcomes
from flows.runtime.engine import PeerLost, execute
from flows.runtime.kafka import finish, inputs, outlets, wait_for_broker
from flows.runtime.run_folder import (
    PICKLED,
    RUN_ID,
    STOPPED,
    VERSION,
    Run,
    RunError,
    ensure_room,
    locked,
    open_run,
    read_run,
    state_folder,
    write_run,
)
from flows.runtime.state_store import digest, keeping_of, open_store, sweep
from flows.service import health_server, logs
from flows.service.allocator import limit_arenas
from flows.service.claiming import Claiming, alive_until, board_of, claimed, end_at_once
from flows.service.health import Health
from flows.service.health_server import Server
from flows.service.holding import Holding
from flows.service.peer_health import watch_peers
from flows.service.processes import run_members
from flows.service.report import Report, reporting
from flows.service.signals import Stopping, die_with_parent
from flows.service.wall_clock import WallClock, start_again
from flows.settings import Settings
from flows.settings.for_decoder import decoder_of
from models.drift import load_river

_CHECK_DISK_S: Final = 1.0
_RECENT_S: Final = 0.25
"""Two sinks confirm the claim at an epoch's end; the later one only if the other did so longer ago than this."""
_log = logging.getLogger("aftercall.run")


@dataclass(frozen=True)
class ServiceRun:
    """What to run.

    Attributes:
        settings: all settings.
        out: folder of the snapshot and the state.
        accept_config_change: if settings that decide verdicts have changed, apply them to calls accepted from now on.
        accept_data_loss: resume although records have expired unread, or a topic was deleted and created again.
        accept_unsealed_state: accept stored state whose checksums have no key, and seal it with the key.
        wait_for_broker: how long the broker may be away at the start; None: for ever.
        take_over: take the topics from another service that has claimed them, and go on in a folder that fell behind.
    """

    settings: Settings
    out: Path
    accept_config_change: bool = False
    accept_data_loss: bool = False
    accept_unsealed_state: bool = False
    wait_for_broker: timedelta | None = None
    take_over: bool = False


@dataclass(frozen=True)
class Member:
    """One process of a run: its number and the addresses of all processes; no addresses for a single process."""

    number: int = 0
    addresses: tuple[str, ...] = ()


def run_service(service: ServiceRun, processes: int, command: Sequence[str]) -> None:
    """Run until stopped.

    Args:
        service: what to run.
        processes: number of processes, >= 1.
        command: arguments of `aftercall` that start one of several processes.

    Raises:
        UsageError: more processes than lanes, or the folder holds another run.
        RunError: the folder cannot be used, or a process failed.
        KafkaFailure: the broker cannot be used.
    """
    logs.configure(service.settings.service.log_level)
    lanes = service.settings.kafka.lanes
    if processes > lanes:
        raise UsageError(
            f"--processes: must be at most kafka.lanes, {lanes}; got {processes} (more would have no lane to read)"
        )
    stopping = Stopping()
    stopping.install()
    state = state_folder(service.out)
    lost: list[str] = []
    on_lost = end_at_once if processes == 1 else lost.append
    with locked(state) as lock, ExitStack() as held, ExitStack() as stack:
        _log.info("started: %s", _described_run(service, processes))
        health = _health_of_start(service.settings)
        server = health_server.listen(service.settings.service, 0, health)
        if server is not None:
            stack.callback(server.close)
        try:
            ensure_room(service.out)
            give_up = alive_until(health, stopping)
            broker = _reached(service, health, give_up)
            current = _prepare(service, state, broker.cluster_id)
            claiming = Claiming(service.settings, service.out, broker.cluster_id, service.take_over)
            current = held.enter_context(claimed(claiming, current, give_up, on_lost))
            catch_up(service.settings.kafka, state)
        except KafkaFailure:
            if not stopping():
                raise
            _log.info("stopped before it began")
            return
        if processes == 1:
            held.callback(WallClock(start_again).close)
            work(service, Member(), stopping, server)
        else:
            stack.close()  # process 0 listens on the same port
            clock = WallClock(lambda: lost.append("this host's clock was set back"))
            held.callback(clock.close)
            try:
                run_members(command, processes, lock, stopping, lost)
            except RunError:
                if clock.was_set_back:
                    start_again()
                raise
        sweep(state, keeping_of(service.settings, state))
        write_run(state, current | {STOPPED: digest(state)})
    _log.info("stopped; the same command resumes here")


def run_as_member(service: ServiceRun, member: Member) -> None:
    """Run one of several processes. Its parent holds our standard input, and has checked folder and broker."""
    stopping = Stopping(logs=False)
    stopping.install()
    die_with_parent(sys.stdin)
    try:
        work(service, member, stopping)
    except BaseException as error:
        caused_by_user = user_error(error)
        code = ExitCode.FAILED if caused_by_user is None else caused_by_user.exit_code
        # Threads that Bytewax has left behind may crash the interpreter at its exit.
        atexit.register(os._exit, code)
        if not isinstance(error, PeerLost):
            raise
        _log.warning("%s", error)
        sys.exit(code)


def work(service: ServiceRun, member: Member, stopping: Stopping, listening: Server | None = None) -> None:
    """Run one process of the dataflow until it is stopped. `listening`: a server that answers its probes already."""
    settings = service.settings
    limit_arenas()
    load_river()
    logs.configure(settings.service.log_level, member.number)
    poll_every_s = min(2.0, settings.join.idle_after.total_seconds() / 4)
    read_to_us = ProgressBoard(service.out / "state" / "lead", settings.kafka.lanes).read_to
    poller = MetadataPoller(admin_config(settings.kafka.cluster()), inputs(settings.kafka), poll_every_s, read_to_us)
    health = Health(
        stalled_after=settings.service.stalled_after,
        snapshot_every=settings.snapshot.every,
        pauses=PAUSES,
    )
    if member.number == 0:
        watch_peers(health, settings.service, len(member.addresses))
    server = health_server.listen(settings.service, member.number, health, listening)
    state = service.out / "state"
    flow, sinks = build_service(service, poller, health, stopping)
    try:
        with reporting(member.number, max(1, len(member.addresses))):
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


def build_service(
    service: ServiceRun, poller: MetadataPoller, health: Health, stopping: Stopping
) -> tuple[Dataflow, Outlets]:
    """The dataflow between the topics, and its sinks, which `finish` needs after the end of the flow."""
    settings = service.settings
    began, polled_lanes = time.monotonic(), set[str]()
    report = Report(service.out)

    def decoder() -> Decoder:
        return decoder_of(settings, lambda: time.time_ns() // 1000)

    def polled(lane: str) -> None:
        if not polled_lanes:
            health.loaded()
            METRICS.recovered(time.monotonic() - began)
            report.loaded(time.monotonic() - began)
        if lane not in polled_lanes:
            polled_lanes.add(lane)
            health.polled(lane)

    def built(lane: str) -> None:
        health.expects_lane(lane)
        report.expects_lane(lane)

    def published(took_s: float) -> None:
        health.published(took_s)
        report.published(took_s)

    disk_checked_at = began

    def stop() -> bool:
        nonlocal disk_checked_at
        if (now := time.monotonic()) - disk_checked_at > _CHECK_DISK_S:
            disk_checked_at = now
            ensure_room(service.out)
        if stopping():
            health.stopping()
        return stopping()

    lanes = LaneSettings(
        consumer=consumer_config(settings.kafka.cluster()),
        topics=inputs(settings.kafka),
        lanes=settings.kafka.lanes,
        board=service.out / "state" / "lead",
        idle_after_s=settings.join.idle_after.total_seconds(),
        orphan_wait_s=settings.join.orphan_wait.total_seconds(),
        max_lead_us=duration_us(settings.join.max_lead),
        accept_data_loss=service.accept_data_loss,
    )
    board = WaitingBoard(service.out / "state" / "waiting", len(SHARDS))
    erasing = Erasing(service.out)
    holding = Holding(board_of(service.out), settings.join.max_future_skew)
    callbacks = LaneCallbacks(
        stopping=stop,
        beat=health.heartbeat.beat,
        built=built,
        partitions=report.partitions,
        caught_up=report.caught_up,
        polled=polled,
        needed=board.needed,
        erasures=erasing.requests.inbox(),
        holding=holding,
        too_early=holding.too_early,
    )

    def confirm(recent_s: float = 0.0) -> None:
        def is_cut_off() -> bool:
            return stopping() and PAUSES.is_paused("broker")

        holding.confirm(health.heartbeat.beat, stopping.overdue, is_cut_off, recent_s=recent_s)

    snapshot = SnapshotSettings(
        folder=service.out,
        live=True,
        every=settings.snapshot.every,
        keep=settings.snapshot.keep,
        calls=settings.snapshot.calls,
        memory_mb=settings.snapshot.memory_mb,
        mode=settings.snapshot.rights,
        forget=settings.forget_after(settings.retention.on_kafka()),
        apart=settings.alias.apart(),
        on_built=health.expects_snapshots,
        on_published=published,
        confirm=partial(confirm, recent_s=_RECENT_S),
        erasing=erasing,
    )
    source = KafkaLanes(lanes, decoder, poller, callbacks)
    sinks = outlets(
        settings.kafka,
        SnapshotSink(snapshot),
        beat=health.heartbeat.beat,
        give_up=stopping.overdue,
        confirm=confirm,
    )
    keeping = keeping_of(settings, service.out / "state")
    joining = Joining(read_run(service.out / "state")["seed"], settings.join.max_waiting, board.publish, time.monotonic)
    return outcomes(settings, source, sinks, place_origin, keeping, joining), sinks


def _prepare(service: ServiceRun, state: Path, cluster_id: str) -> Run:
    """Check that the state in the folder belongs to this run; gives what `run.json` has."""
    begun = (state / "run.json").exists()
    wanted = _described(service.settings, cluster_id)
    current = open_run(service.out, wanted, accept_config_change=service.accept_config_change)
    open_store(
        state,
        keeping_of(service.settings, state),
        begun=begun,
        old=current["version"] == PICKLED,
        unsealed=service.accept_unsealed_state,
        stopped=current.pop(STOPPED, None),
    )
    if RUN_ID not in current or service.accept_unsealed_state:
        current = {RUN_ID: token_hex(8)} | current
        write_run(state, current)
    WaitingBoard(state / "waiting", len(SHARDS), clear=True)
    return current


def _health_of_start(settings: Settings) -> Health:
    """Alive, and not ready."""
    return Health(
        stalled_after=settings.service.stalled_after,
        snapshot_every=settings.snapshot.every,
        checks={"broker": lambda: None if PAUSES.is_paused("broker") else "it has not answered yet"},
        pauses=PAUSES,
    )


def _reached(service: ServiceRun, health: Health, give_up: Callable[[], bool]) -> Reached:
    """Wait for the broker; `health` names it as what is missing."""
    within = service.wait_for_broker
    health.loaded()  # nothing is, but the broker is what is missing
    reached = wait_for_broker(service.settings.kafka, inf if within is None else within.total_seconds(), give_up)
    health.not_loaded()
    return reached


def _described_run(service: ServiceRun, processes: int) -> str:
    settings = service.settings.service
    port = f"probes and metrics on port {settings.port}" if settings.port else "no port"
    plural = "" if processes == 1 else "es"
    return f"aftercall {__version__}, folder {service.out}, {processes} process{plural}, {port}"


def _described(settings: Settings, cluster_id: str) -> Run:
    topics = settings.kafka.topics
    return {
        "version": VERSION,
        "calls": [topics.calls],
        "outcomes": [topics.outcomes],
        "fingerprint": f"kafka {cluster_id} {topics.calls} {topics.outcomes} {settings.kafka.lanes}",
        "deciding": settings.deciding(),
        "settings": settings.effective(),
        "now_us": time.time_ns() // 1000,
        "finished": False,
    }
