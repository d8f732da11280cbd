"""Keeps counts, logs rows, and publishes `outcomes.duckdb` beside the dataflow."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from aftercall.times import MINUTE_US, NEVER, duration_us
from connectors.background import Worker
from connectors.batch import Warned
from connectors.metrics import METRICS
from connectors.snapshot.publish import Publication
from connectors.snapshot.store import SnapshotStore
from connectors.texts.store import TextSettings, TextStore
from flows.dataflow.counted import Counted, CountedTables
from flows.dataflow.erasing import Erasing
from flows.dataflow.found_warnings import found_in_tables
from flows.dataflow.pipeline_warnings import PipelineWarnings
from flows.dataflow.publishing import minute_after, publish_counts
from flows.dataflow.snapshot_messages import (
    SNAPSHOT_KEY,
    AlertRows,
    AttemptRows,
    CallRows,
    CellChanges,
    CheckChanges,
    CheckRows,
    Clock,
    CompletionRows,
    ContractsUsed,
    DeadLetterRows,
    DesignEffects,
    DigestRows,
    EraseRows,
    FailedCalls,
    KnownContract,
    MarkRows,
    OpinionChanges,
    RecommendationRows,
    SnapshotMessage,
    StatementRows,
    SuspicionRows,
    Tally,
    TextRows,
    ToolChanges,
    ToolRows,
    TrustRows,
    UnmatchedIds,
    VerdictRows,
    WarningRows,
)
from flows.dataflow.unmatched import Unmatched
from models.rates import ContractUses, SourceCells, ToolCells
from models.state import Migrations

PARTITION: Final = SNAPSHOT_KEY
"""Key of every message to the sink, and its only partition."""
_SHARE: Final = 10
"""The interval between two publications is at least this many times the duration of the last: a tenth of a core."""

State = dict[str, Any]
_HEARTBEAT: Final = Clock(NEVER, NEVER, {})
"""Wakes the sink without changing it: Bytewax asks a sink for its state only in epochs with messages."""


@dataclass(frozen=True, kw_only=True)
class SnapshotSettings:
    """Settings, clocks and callbacks of the sink.

    `forget` maps `calls`, `statements`, `dead_letters`, `alerts`, `recommendations`, `hourly` to the age, measured from
    the watermark to the row's time (that of the call, for the first two), after which rows are dropped; absent: never.
    `watched`: sources that should say something.
    """

    folder: Path
    live: bool
    """Whether the input is Kafka; otherwise a replay, whose last snapshot is as of the minute after the newest call."""
    every: timedelta = timedelta(seconds=60)
    keep: int = 3
    calls: str = "all"
    memory_mb: int = 256
    mode: int | None = None
    forget: Mapping[str, timedelta] = field(default_factory=dict)
    apart: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By table of `[alias]`, names that are known to be alike."""
    watched: Sequence[str] = ()
    monotonic: Callable[[], float] = time.monotonic
    wall_us: Callable[[], int] = lambda: time.time_ns() // 1000
    on_built: Callable[[], None] = lambda: None
    """Called in the process that holds the sink."""
    on_published: Callable[[float], None] = lambda _took_s: None
    """Called after each publication with its duration in seconds; with 0 where nothing had changed."""
    confirm: Callable[[], None] = lambda: None
    """Called at each epoch's end: returns once the epoch may be stored, or raises."""
    texts: TextSettings = field(default_factory=TextSettings)
    contracts: Sequence[KnownContract] = ()
    """All versions of all contracts of the run."""
    erasing: Erasing | None = None
    """Carries out requests to erase calls; None in a replay, which has none."""


class SnapshotSink(FixedPartitionedSink[SnapshotMessage, State]):
    """Takes `("snapshot", message)`; see `snapshot_messages.py`. Runs on one worker, whichever Bytewax chooses."""

    state_version: Final = 5
    state_migrations: Final[Migrations] = {
        2: lambda state: {**state, "warnings": [], "unmatched": {}},
        # What sources said and how tools did before is not known: their tables begin with what comes.
        3: lambda state: {**state, "source_cells": SourceCells().state(), "tools": ToolCells().state()},
        4: lambda state: {**state, "suspicions": []},
    }

    def __init__(self, settings: SnapshotSettings) -> None:
        self._settings = settings

    def list_parts(self) -> list[str]:
        """One partition."""
        return [PARTITION]

    def build_part(self, step_id: str, for_part: str, resume_state: State | None) -> SnapshotPartition:
        """Open the live database and drop the rows that are newer than the resumed state."""
        del step_id, for_part
        return SnapshotPartition(self._settings, resume_state)


class SnapshotPartition(StatefulSinkPartition[SnapshotMessage, State]):
    """The counts, the counters and the store."""

    def __init__(self, settings: SnapshotSettings, resume_state: State | None) -> None:
        self._settings = settings
        self._tallies: Counter[str] = Counter()
        self._counted = Counted()
        self._warnings, self._unmatched = PipelineWarnings(), Unmatched()
        self._watermark = self._newest_call = NEVER
        self._positions: dict[str, Any] = {}
        self._suspicions: list[tuple[Any, ...]] = []
        self._uses = ContractUses()
        self._dirty, self._published_cut, cut = False, -1, 0
        if resume_state is not None:
            cut = self._restore(resume_state)
        self._store = SnapshotStore(
            settings.folder,
            keep=settings.keep,
            calls=settings.calls,
            memory_mb=settings.memory_mb,
            mode=settings.mode,
        )
        self._store.resume(cut)
        self._texts = TextStore(settings.folder, settings.texts, settings.mode)
        self._texts.resume(cut)
        self._running: Future[None] | None = None
        self._publisher = Worker("aftercall-publish")
        self._due = settings.monotonic() + settings.every.total_seconds()
        self._epoch_at = settings.monotonic()
        self._report_pending()
        settings.on_built()

    def write_batch(self, values: list[SnapshotMessage]) -> None:
        """Apply messages; their rows become durable at the next `snapshot`."""
        for message in values:
            self._dirty = self._dirty or message != _HEARTBEAT
            self._write(message)

    def snapshot(self) -> State:
        """Commit, start a publication in the background if one is due, and return everything that is not in the store.

        Raises the error of the last publication, if it failed.
        """
        self._check_publication()
        if self._dirty or self._store.cut == 0:
            self._commit()
        self._report_metrics()
        self._erase()
        self._settings.confirm()
        if self._running is None and self._settings.monotonic() >= self._due:
            if self._store.cut == self._published_cut:  # nothing has changed
                self._due = self._settings.monotonic() + self._settings.every.total_seconds()
                METRICS.snapshot_is_current()
                self._settings.on_published(0.0)
            else:
                self._publish_beside()
        if self._settings.erasing is not None:
            self._settings.erasing.epoch_ended(published=self._running is None)
        return {
            "cut": self._store.cut,
            "tallies": dict(self._tallies),
            **self._counted.state(),
            "watermark": self._watermark,
            "newest_call": self._newest_call,
            "positions": dict(self._positions),
            "warnings": self._warnings.state(),
            "unmatched": self._unmatched.state(),
            "suspicions": self._suspicions,
            "contract_uses": self._uses.state(),
        }

    def close(self) -> None:
        """Publish the final state.

        At the end of its input Bytewax stores the last epoch and then closes the sink. It also closes it when another
        process of the cluster has died, in the middle of an epoch; rows that no epoch has stored must not be published.
        """
        if self._dirty:
            self.abandon()
            return
        self._publisher.shutdown()
        self._check_publication()
        self._erase()
        self._forget()
        as_of, live = self._as_of(), self._settings.live
        if not live and self._newest_call != NEVER:
            as_of = minute_after(self._newest_call)
        publish_counts(
            self._store.begin_publish(), self._pipeline(), self._counted.frozen(), as_of, self._alike, live=live
        )
        if not live:
            self._texts.finish(self._store.cut)
        self._store.close()

    def abandon(self) -> None:
        """Close without publishing; called instead of `close` if any step has failed."""
        self._publisher.shutdown()
        self._store.close()

    def _write(self, message: SnapshotMessage) -> None:
        match message:
            case CallRows(rows):
                self._store.append_calls(rows)
            case CompletionRows(rows):
                self._store.append_completions(rows)
            case AttemptRows(rows):
                self._store.append_attempts(rows)
            case ToolRows(rows):
                self._store.append_tool_calls(rows)
            case VerdictRows(rows):
                self._store.append_verdicts(rows)
            case StatementRows(rows):
                self._store.append_statements(rows)
            case CheckRows(rows):
                self._store.append_checks(rows)
            case ContractsUsed(uses):
                self._uses.add(uses)
            case CellChanges() | OpinionChanges() | ToolChanges() | CheckChanges() | DesignEffects():
                self._counted.add(message)
            case Tally(counts):
                self._tallies.update(counts)  # adds; the difference of a count such as `waiting` may be negative
            case Clock(watermark, newest_call, positions):
                self._watermark = max(self._watermark, watermark)
                self._newest_call = max(self._newest_call, newest_call)
                self._positions.update(positions)
                self._counted.advance(self._watermark, self._newest_call)
            case MarkRows(rows):
                self._store.append_marks(rows)
            case DeadLetterRows(letters):
                self._store.append_dead_letters(letters)
            case AlertRows(alerts):
                self._store.append_alerts(alerts)
            case DigestRows(digests):
                self._store.append_digests(digests)
            case SuspicionRows(rows):
                self._suspicions = list(rows)
            case RecommendationRows(recommendations):
                self._store.append_recommendations(recommendations)
            case TrustRows(rows):
                self._store.append_trust(rows)
            case WarningRows(rows):
                self._warnings.add_all(rows)
            case UnmatchedIds(shard, call_ids):
                self._unmatched.put(shard, call_ids)
            case TextRows(texts):
                self._texts.add(texts)
            case FailedCalls(calls):
                self._texts.fail(calls)
            case EraseRows() if self._settings.erasing is not None:
                self._settings.erasing.add(message)
                self._unmatched.erase(message.call_ids)

    def _commit(self) -> None:
        counts = self._texts.commit(self._store.cut + 1, self._watermark)
        self._tallies.update(counts)
        METRICS.texts(counts, self._texts.waiting_bytes)
        self._store.commit(self._store.cut + 1)
        self._dirty = False

    def _erase(self) -> None:
        """Delete the rows of erased calls, and make a publication due at once.

        Called right after a commit, when all rows that this epoch wrote about these calls are in the store, whichever
        step sent them.
        """
        erasing = self._settings.erasing
        if erasing is not None and self._running is None and erasing.has_rows:
            erasing.delete(self._store, self._texts)
            self._due, self._published_cut = self._settings.monotonic(), -1

    def _publish_beside(self) -> None:
        self._forget()
        self._published_cut = self._store.cut
        publication, pipeline, frozen = self._store.begin_publish(), self._pipeline(), self._counted.frozen()
        as_of, watermark = self._as_of(), self._watermark
        # Whatever was committed before this epoch is stored, as something of this one has come.
        stored = self._store.cut - 1

        def run() -> None:
            started = self._settings.monotonic()
            try:
                publish_counts(publication, pipeline, frozen, as_of, self._alike, live=True)
                self._texts.merge(stored, watermark)
                took_s = self._settings.monotonic() - started
                METRICS.snapshot(publication.version, took_s)
                self._settings.on_published(took_s)
            finally:
                now = self._settings.monotonic()
                self._due = max(started + self._settings.every.total_seconds(), now + (_SHARE - 1) * (now - started))

        # The interpreter waits for the executor's work, so a clean end never interrupts a write of DuckDB.
        self._running = self._publisher.submit(run)

    def _alike(self, publication: Publication, tables: CountedTables) -> list[Warned]:
        """Warnings that are found in what is published; those that are new are logged."""
        alike = found_in_tables(tables, self._settings.apart, self._settings.watched)
        alike += self._unmatched.warnings(publication, self._watermark)
        for warned in alike:
            self._warnings.log(warned)
        return alike

    def _report_metrics(self) -> None:
        """Update the metrics of epochs, watermark and open calls."""
        now = self._settings.monotonic()
        METRICS.epoch(now - self._epoch_at)
        self._epoch_at = now
        METRICS.watermark(self._watermark)
        self._report_pending()

    def _report_pending(self) -> None:
        pipeline = self._pipeline()
        METRICS.pending(pipeline["pending"], pipeline.get("waiting", 0))

    def _check_publication(self) -> None:
        """Clear a publication that has ended, and raise its error."""
        if self._running is not None and self._running.done():
            ended, self._running = self._running, None
            ended.result()

    def _pipeline(self) -> dict[str, Any]:
        tallies = dict(self._tallies)
        decided = sum(tallies.get(name, 0) for name in ("successes", "failures", "expired"))
        return {
            **tallies,
            "pending": tallies.get("calls", 0) + tallies.get("attempts", 0) - decided,
            "written_at": self._settings.wall_us(),
            "watermark": self._watermark,
            "positions": dict(self._positions),
            "warnings": list(self._warnings),
            "suspicions": self._suspicions,
            "contracts": self._uses.rows(self._settings.contracts),
        }

    def _as_of(self) -> int:
        """The watermark, cut to the minute; without a watermark, the minute after the newest call."""
        if self._watermark != NEVER:
            return self._watermark // MINUTE_US * MINUTE_US
        return 0 if self._newest_call == NEVER else minute_after(self._newest_call)

    def _forget(self) -> None:
        self._texts.forget(self._watermark)
        ages = dict(self._settings.forget)
        if not ages or self._watermark == NEVER:
            return
        before = {name: self._watermark - duration_us(age) for name, age in ages.items()}
        hourly = before.pop("hourly", None)
        if hourly is not None:
            self._counted.forget_hours(hourly)
            before["trust"] = hourly
        if "alerts" in before:
            self._warnings.forget(before["alerts"])
        if before:
            self._store.forget(before)

    def _restore(self, state: State) -> int:
        self._tallies.update(state["tallies"])
        self._counted = Counted(state)
        self._watermark, self._newest_call = state["watermark"], state["newest_call"]
        self._warnings = PipelineWarnings.from_state(state["warnings"])
        self._unmatched = Unmatched.from_state(state["unmatched"])
        self._positions, self._suspicions = dict(state["positions"]), [tuple(row) for row in state["suspicions"]]
        self._uses = ContractUses(state.get("contract_uses", ()))  # states of before there were contracts have none
        return int(state["cut"])
