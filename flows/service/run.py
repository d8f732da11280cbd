"""Runs the pipeline as a service between Kafka topics.

A run may be killed at any moment: the same command resumes it at its last epoch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from math import inf

from aftercall import __version__
from aftercall.errors import UsageError
from connectors.kafka.client import KafkaFailure, Reached
from connectors.pauses import PAUSES
from flows.erase.stopped import catch_up
from flows.runtime.kafka import wait_for_broker
from flows.runtime.open_files import ensure_open_files
from flows.runtime.run_folder import STOPPED, RunError, ensure_room, locked, state_folder, write_run
from flows.runtime.state_store import digest, keeping_of, sweep
from flows.service import health_server, logs
from flows.service.claiming import Claiming, alive_until, claimed, end_at_once
from flows.service.health import Health
from flows.service.member import Member, work
from flows.service.process_exit import exits_at_once
from flows.service.processes import run_members
from flows.service.resume import resume
from flows.service.service_run import ServiceRun
from flows.service.signals import Stopping
from flows.service.wall_clock import WallClock, start_again
from flows.settings import Settings
from flows.settings.calendar import muted

_log = logging.getLogger("aftercall.run")


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
    ensure_open_files()
    stopping = Stopping()
    stopping.install()
    state = state_folder(service.out)
    lost: list[str] = []
    on_lost = end_at_once if processes == 1 else lost.append
    with exits_at_once(), locked(state) as lock, ExitStack() as held, ExitStack() as stack:
        _log.info("started: %s", _described_run(service, processes))
        for sentence in muted(service.settings.calendar):
            _log.info(sentence)
        health = _health_of_start(service.settings)
        server = health_server.listen(service.settings.service, 0, health, stopping.fail)
        if server is not None:
            stack.callback(server.close)
        try:
            ensure_room(service.out)
            give_up = alive_until(health, stopping)
            broker = _reached(service, health, give_up)
            current = resume(service, state, broker.cluster_id)
            claiming = Claiming(service.settings, service.out, broker.cluster_id, service.take_over)
            final = held.enter_context(claimed(claiming, current, give_up, on_lost, stopping.fail))
            catch_up(service.settings.kafka, state, broker.missing)
        except KafkaFailure:
            if not stopping():
                raise
            _log.info("stopped before it began")
            return
        if processes == 1:
            held.callback(WallClock(start_again, stopping.fail).close)
            work(service, Member(), stopping, server)
        else:
            stack.close()  # process 0 listens on the same port
            clock = WallClock(lambda: lost.append("this host's clock was set back"), stopping.fail)
            held.callback(clock.close)
            try:
                run_members(command, processes, lock, stopping, lost)
            except RunError:
                if clock.was_set_back:
                    start_again()
                raise
        sweep(state, keeping_of(service.settings, state))
        write_run(state, final() | {STOPPED: digest(state)})
    _log.info("stopped; the same command resumes here")


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
    within_s, settings = inf if within is None else within.total_seconds(), service.settings
    reached = wait_for_broker(settings.kafka, within_s, give_up, publish_checks=settings.contracts.publish)
    health.not_loaded()
    return reached


def _described_run(service: ServiceRun, processes: int) -> str:
    settings = service.settings.service
    port = f"probes and metrics on port {settings.port}" if settings.port else "no port"
    plural = "" if processes == 1 else "es"
    return f"aftercall {__version__}, folder {service.out}, {processes} process{plural}, {port}"
