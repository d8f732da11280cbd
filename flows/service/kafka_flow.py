"""Builds the dataflow of one process between the topics, and connects it with what reports on the process."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bytewax.dataflow import Dataflow

from aftercall.times import duration_us
from connectors.dead_letters import place_origin
from connectors.decode.decoder import Decoder
from connectors.kafka.client import consumer_config
from connectors.kafka.lane_settings import LaneCallbacks, LaneSettings
from connectors.kafka.metadata import MetadataPoller
from connectors.kafka.source import KafkaLanes
from connectors.kafka.waiting_board import WaitingBoard
from connectors.metrics import METRICS
from connectors.pauses import PAUSES
from flows.dataflow.erasing import Erasing
from flows.dataflow.judging import judge_of, rule_alerts, session_book_of
from flows.dataflow.shards import SHARDS
from flows.dataflow.snapshot_messages import KnownContract
from flows.dataflow.snapshot_sink import SnapshotSettings, SnapshotSink
from flows.dataflow.steps import Joining
from flows.outcomes import Outlets, outcomes
from flows.runtime.contract_starts import in_force, known_in
from flows.runtime.kafka import inputs, outlets
from flows.runtime.run_folder import ensure_room, read_run
from flows.runtime.state_store import keeping_of
from flows.service.claiming import board_of
from flows.service.health import Health
from flows.service.holding import Holding
from flows.service.report import Report
from flows.service.service_run import ServiceRun
from flows.service.signals import Stopping
from flows.settings.for_decoder import decoder_of
from flows.settings.for_texts import text_settings

_CHECK_DISK_S: Final = 1.0
_RECENT_S: Final = 0.25
"""Two sinks confirm the claim at an epoch's end; the later one only if the other did so longer ago than this."""


def kafka_flow(
    service: ServiceRun, poller: MetadataPoller, health: Health, stopping: Stopping
) -> tuple[Dataflow, Outlets]:
    """The dataflow between the topics, and its sinks, which `finish` needs after the end of the flow."""
    settings, state = service.settings, service.out / "state"
    board = WaitingBoard(state / "waiting", len(SHARDS))
    erasing = Erasing(service.out)
    holding = Holding(board_of(service.out), settings.join.max_future_skew)
    report = _Reports(health, Report(service.out))
    contracts = in_force(settings, read_run(state))

    def decoder() -> Decoder:
        return decoder_of(settings, lambda: time.time_ns() // 1000, contracts)

    def confirm(recent_s: float = 0.0) -> None:
        def is_cut_off() -> bool:
            return stopping() and PAUSES.is_paused("broker")

        holding.confirm(health.heartbeat.beat, stopping.overdue, is_cut_off, recent_s=recent_s)

    callbacks = LaneCallbacks(
        stopping=_stop(service.out, health, stopping),
        beat=health.heartbeat.beat,
        built=report.built,
        partitions=report.report.partitions,
        caught_up=report.report.caught_up,
        polled=report.polled,
        needed=board.needed,
        erasures=erasing.requests.inbox(),
        holding=holding,
        too_early=holding.too_early,
    )
    source = KafkaLanes(_lane_settings(service), decoder, poller, callbacks)
    sinks = outlets(
        settings.kafka,
        SnapshotSink(_snapshot_settings(service, report, erasing, partial(confirm, recent_s=_RECENT_S))),
        beat=health.heartbeat.beat,
        give_up=stopping.overdue,
        confirm=confirm,
        publish_checks=settings.contracts.publish,
    )
    join = settings.join
    joining = Joining(read_run(state)["seed"], join.max_waiting, board.publish, time.monotonic, join.max_sessions)
    joining = joining._replace(split=METRICS.split_keys, judge=judge_of(settings, contracts))
    joining = joining._replace(session_book=session_book_of(settings, contracts))
    keeping, rules = keeping_of(settings, state), rule_alerts(contracts)
    return outcomes(settings, source, sinks, place_origin, keeping, joining, on_rules=rules), sinks


class _Reports:
    """Passes on what lanes and sinks report: to the probes, the metrics and the log."""

    def __init__(self, health: Health, report: Report) -> None:
        self.health, self.report = health, report
        self._began_s, self._polled_lanes = time.monotonic(), set[str]()

    def built(self, lane: str) -> None:
        """A lane was built in this process."""
        self.health.expects_lane(lane)
        self.report.expects_lane(lane)

    def polled(self, lane: str) -> None:
        """A lane has its partitions; the first one to have them shows that the state is loaded."""
        if not self._polled_lanes:
            took_s = time.monotonic() - self._began_s
            self.health.loaded()
            METRICS.recovered(took_s)
            self.report.loaded(took_s)
        if lane not in self._polled_lanes:
            self._polled_lanes.add(lane)
            self.health.polled(lane)

    def published(self, took_s: float) -> None:
        """A snapshot was published, which took `took_s` seconds."""
        self.health.published(took_s)
        self.report.published(took_s)


def _stop(out: Path, health: Health, stopping: Stopping) -> Callable[[], bool]:
    """Returns whether to stop reading; looks once a second whether there is room on the disk."""
    disk_checked_at = time.monotonic()

    def stop() -> bool:
        nonlocal disk_checked_at
        if (now := time.monotonic()) - disk_checked_at > _CHECK_DISK_S:
            disk_checked_at = now
            ensure_room(out)
        if stopping():
            health.stopping()
        return stopping()

    return stop


def _lane_settings(service: ServiceRun) -> LaneSettings:
    kafka, join = service.settings.kafka, service.settings.join
    return LaneSettings(
        consumer=consumer_config(kafka.cluster()),
        topics=inputs(kafka),
        lanes=kafka.lanes,
        board=service.out / "state" / "lead",
        idle_after_s=join.idle_after.total_seconds(),
        orphan_wait_s=join.orphan_wait.total_seconds(),
        max_lead_us=duration_us(join.max_lead),
        accept_data_loss=service.accept_data_loss,
        marks=kafka.topics.marks,
    )


def _snapshot_settings(
    service: ServiceRun, report: _Reports, erasing: Erasing, confirm: Callable[[], None]
) -> SnapshotSettings:
    settings = service.settings
    return SnapshotSettings(
        folder=service.out,
        live=True,
        every=settings.snapshot.every,
        keep=settings.snapshot.keep,
        calls=settings.snapshot.calls,
        memory_mb=settings.snapshot.memory_mb,
        mode=settings.snapshot.rights,
        forget=settings.forget_after(settings.retention.on_kafka()),
        apart=settings.alias.apart(),
        watched=settings.drift.sources,
        texts=text_settings(settings),
        on_built=report.health.expects_snapshots,
        on_published=report.published,
        confirm=confirm,
        erasing=erasing,
        contracts=[KnownContract(*one) for one in known_in(read_run(service.out / "state"))],
    )
