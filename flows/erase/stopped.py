"""Erases calls of a stopped pipeline: runs its dataflow without input or broker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from bytewax.dataflow import Dataflow

from connectors.batch import Erase
from connectors.dead_letters import place_origin
from connectors.erasure.lanes import EraseLanes
from connectors.erasure.recovery_pages import scrub, too_large
from connectors.erasure.requests import FOLDER, Erasures
from connectors.kafka import outbox
from connectors.kafka.after_epoch import AfterEpoch
from connectors.kafka.client import KafkaFailure, StoppedWaiting, producer_config, reach
from connectors.kafka.outbox import OutboxSink
from connectors.kafka.source import KafkaLanes
from connectors.kafka.writer import KafkaWriter, WriterCallbacks
from flows.dataflow.erasing import Erasing
from flows.dataflow.snapshot_sink import SnapshotSettings, SnapshotSink
from flows.dataflow.steps import Joining
from flows.dataflow.stored_state import Keeping
from flows.outcomes import Outlets, outcomes
from flows.runtime.engine import execute
from flows.runtime.kafka import output_topics
from flows.runtime.run_folder import PICKLED, STOPPED, RunError, locked, read_run, write_run
from flows.runtime.state_store import digest, keeping_of, open_store, sweep
from flows.settings import Settings
from flows.settings.for_texts import text_settings
from flows.settings.sections import Kafka

_BROKER_S: Final = 10.0
_SCRUB_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.2


def erase_if_stopped(settings: Settings, out: Path) -> bool:
    """Carry out all requests of a stopped pipeline; False if one is running, which carries them out itself."""
    state = out / "state"
    with ExitStack() as lock:
        try:
            lock.enter_context(locked(state))
        except RunError:
            return False
        requests, erasing = Erasures(state), Erasing(out)
        keeping = keeping_of(settings, state)
        current = read_run(state)
        seed = current.get("seed", 0)
        recovery = open_store(
            state,
            keeping,
            begun=True,
            old=current["version"] == PICKLED,
            stopped=current.pop(STOPPED, None),
        )
        write_run(state, current)
        flow = _flow(settings, out, tuple(requests.pending()), erasing, keeping, seed)
        execute(flow, state / "engine-erase.log", epoch=settings.recovery.epoch, recovery=recovery)
        # The flow has ended: its last epoch is stored, and its last snapshot is published.
        sweep(state, keeping)
        erasing.finish()
        if scrub(state / "recovery", in_use=False):
            requests.scrubbed()
        write_run(state, current | {STOPPED: digest(state)})
        if unsent(state).exists():
            with suppress(KafkaFailure, StoppedWaiting):  # the next run sends them
                reached = reach(settings.kafka.cluster(), outputs=output_topics(settings.kafka), timeout_s=_BROKER_S)
                outbox.send(unsent(state), _writer(settings.kafka), reached.missing)
    return True


def catch_up(kafka: Kafka, state: Path, absent: Sequence[str] = ()) -> None:
    """Finish what erasing on the stopped pipeline could not: send tombstones and dead letters, clean free pages.

    Called before a run begins, once the broker answers; `absent`: topics that need not exist, and do not.

    Raises:
        KafkaFailure: the broker refuses the records.
    """
    if unsent(state).exists():
        outbox.send(unsent(state), _writer(kafka), absent)
    requests = Erasures(state)
    if requests.unscrubbed and scrub(state / "recovery", in_use=False):
        requests.scrubbed()


def scrub_while_used(state: Path) -> bool:
    """Clean the free pages of a recovery store that a running pipeline uses; the pipeline must not do so itself.

    Returns:
        Whether they are clean after at most 60 s; if not, the next start cleans them.
    """
    requests, recovery = Erasures(state), state / "recovery"
    deadline = time.monotonic() + _SCRUB_S
    while requests.unscrubbed:
        if scrub(recovery, in_use=True):
            requests.scrubbed()
        elif too_large(recovery) or time.monotonic() > deadline:
            return False
        else:
            time.sleep(_LOOK_EVERY_S)
    return True


def unsent(state: Path) -> Path:
    """The file of tombstones and dead letters that are still to be sent."""
    return state / FOLDER / outbox.FILE


def _flow(
    settings: Settings, out: Path, pending: tuple[Erase, ...], erasing: Erasing, keeping: Keeping, seed: int
) -> Dataflow:
    """The dataflow of `aftercall run`, with the same steps under the same names, but other sources and sinks."""
    snapshot = SnapshotSettings(
        folder=out,
        live=True,
        every=settings.snapshot.every,
        keep=settings.snapshot.keep,
        calls=settings.snapshot.calls,
        mode=settings.snapshot.rights,
        forget=settings.forget_after(settings.retention.on_kafka()),
        apart=settings.alias.apart(),
        watched=settings.drift.sources,
        texts=text_settings(settings, keep_buffer=True),
        erasing=erasing,
    )
    file = unsent(out / "state")
    sinks = (OutboxSink(file, topic) for topic in output_topics(settings.kafka))
    verdicts, alerts, recommendations, letters, trust = sinks
    held = AfterEpoch(alerts), AfterEpoch(recommendations), AfterEpoch(trust)
    checks = OutboxSink(file, settings.kafka.topics.checks) if settings.contracts.publish else None
    outlets = Outlets(verdicts, *held, letters, SnapshotSink(snapshot), checks)
    lanes = EraseLanes(settings.kafka.lanes, pending, KafkaLanes.state_version)
    joining = Joining(seed, settings.join.max_waiting, max_sessions=settings.join.max_sessions)
    return outcomes(settings, lanes, outlets, place_origin, keeping, joining)


def _writer(kafka: Kafka) -> KafkaWriter:
    deadline = time.monotonic() + 3 * _BROKER_S
    callbacks = WriterCallbacks(give_up=lambda: time.monotonic() > deadline)
    return KafkaWriter(producer_config(kafka.cluster()), kafka.topics.dead_letters, callbacks)
