"""Turns what the steps emit into records of topics and rows of the snapshot."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from aftercall.records import Alert, DeadLetter, Recommendation, Record, to_json
from aftercall.times import NEVER, to_datetime
from aftercall.trust_record import TrustRecord
from connectors.batch import Batch
from connectors.dead_letters import dead_letter
from connectors.metrics import METRICS
from flows.dataflow import rows
from flows.dataflow.cap_alerts import cap_alert, sessions_alert
from flows.dataflow.check_rows import check_rows
from flows.dataflow.late_warnings import late_warning
from flows.dataflow.letter_log import LETTER_LOG
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
    MarkRows,
    OpinionChanges,
    RecommendationRows,
    StatementRows,
    SuspicionRows,
    Tally,
    ToolChanges,
    ToolRows,
    TrustRows,
    UnmatchedIds,
    VerdictRows,
    WarningRows,
)
from flows.dataflow.steps import Alerted
from flows.dataflow.text_rows import text_history
from flows.dataflow.tool_rows import tool_rows, tool_uses, used_tools
from flows.settings import Settings
from models.groups import Grouped, MarkRefusal
from models.join import FAILURE, PENDING, SUCCESS, Joined, Refusal
from models.sessions import Resolving, SessionRefusal

_log = logging.getLogger("aftercall.alerts")
_log.addHandler(logging.NullHandler())  # a replay configures no log, and its alerts are in a file
Keyed = tuple[str, Any]
Origin = Callable[[str, int], dict[str, Any]]
"""Maps a partition's name and an offset in it to the `origin` of a dead letter: where the record can be found."""
Letter = tuple[str, DeadLetter]
Block = tuple[str, list[tuple[str, bytes | None]]]
"""A message to a sink: the sink partition, then (key, JSON) of each record, or a tombstone (key, None)."""


def verdicts(item: tuple[str, Joined]) -> list[Block]:
    """Records of topic `agent.verdicts`, a block per shard: a call's records always take the same sink partition."""
    records: list[tuple[str, bytes | None]] = list(rows.verdict_records(item[1]))
    if records:
        _count(item[1])
    if item[1].erased is not None:
        # Also for calls that are no longer held: their verdict stays on the topic until a record replaces it.
        records += [(call_id, None) for call_id in item[1].erased.call_ids]
    return [(item[0], records)] if records else []


def _count(joined: Joined) -> None:
    """Update the metrics of verdicts."""
    counts = Counter(judgement.verdict for judgement in joined.judgements if judgement.is_news)
    judged = [one.success for one in joined.judged]
    for success in (joined.first.success, *judged, joined.expired.success):
        counts["success"] += int(np.count_nonzero(success == SUCCESS))
        counts["failure"] += int(np.count_nonzero(success == FAILURE))
    counts["pending"] += sum(int(np.count_nonzero(success == PENDING)) for success in judged)
    counts["expired"] += int(np.count_nonzero(joined.expired.success == PENDING))
    for verdict, count in counts.items():
        if count:
            METRICS.verdicts(verdict, count)


def unreadable(settings: Settings, origin: Origin) -> Callable[[Batch], list[Letter]]:
    """Builds the function that turns the refused records of a lane into dead letters."""
    keep, redact = settings.privacy.keep_payloads, [re.compile(text) for text in settings.privacy.redact]

    def letters(batch: Batch) -> list[Letter]:
        made = []
        for refused in batch.refused:
            key, fields = dead_letter(
                refused.reason,
                refused.detail,
                origin(batch.partitions[refused.partition], refused.offset),
                refused.raw,
                refused.key,
                keep_payloads=keep,
                redact=redact,
                whole=refused.whole,
            )
            made.append((key, DeadLetter.sealed(**fields, redriven_of=refused.redriven_of)))
            METRICS.dead_letters(refused.reason)
            LETTER_LOG.add(made[-1][1])
        return made

    return letters


def unjoined(settings: Settings, origin: Origin) -> Callable[[tuple[str, Joined]], list[Letter]]:
    """Builds the function that turns the records that the join refused into dead letters."""
    made = _refusals(settings, origin)
    return lambda item: [made(refusal, refusal.call_id) for refusal in item[1].refused]


def unresolved(settings: Settings, origin: Origin) -> Callable[[tuple[str, Resolving]], list[Letter]]:
    """Builds the function that does so with outcomes of sessions, whose key is the `session_id`."""
    made = _refusals(settings, origin)

    def letters(item: tuple[str, Resolving]) -> list[Letter]:
        resolved = item[1].resolved
        return [] if resolved is None else [made(refusal, refusal.session_id) for refusal in resolved.refused]

    return letters


def unmarked(settings: Settings, origin: Origin) -> Callable[[tuple[str, Grouped]], list[Letter]]:
    """Builds the function that turns marks whose id is known with other content into dead letters."""
    made = _refusals(settings, origin)

    def letters(item: tuple[str, Grouped]) -> list[Letter]:
        return [made(_conflict(refused), refused.mark.mark_id) for refused in item[1].marks.refused]

    return letters


def _conflict(refused: MarkRefusal) -> Refusal:
    mark = refused.mark
    where = (mark.partition, mark.offset, mark.raw, len(mark.raw), "")
    return Refusal("conflict", refused.detail, mark.mark_id, *where)


def _refusals(settings: Settings, origin: Origin) -> Callable[[Refusal | SessionRefusal, str], Letter]:
    """Builds the function that turns one refused record into a dead letter with a key."""
    keep, redact = settings.privacy.keep_payloads, [re.compile(text) for text in settings.privacy.redact]

    def letter(refusal: Refusal | SessionRefusal, key: str) -> Letter:
        where = origin(refusal.partition, refusal.offset)
        METRICS.dead_letters(refusal.reason)
        if refusal.raw is None:
            fields: dict[str, Any] = {
                "reason": refusal.reason,
                "detail": refusal.detail,
                "origin": where,
                "size": refusal.size,
                "sha256": refusal.sha256,
                "payload": None,
            }
        else:
            _, fields = dead_letter(
                refusal.reason, refusal.detail, where, refusal.raw, key, keep_payloads=keep, redact=redact
            )
        made = DeadLetter.sealed(**fields)
        LETTER_LOG.add(made)
        return key, made

    return letter


def drifted(item: tuple[str, Alerted]) -> list[Alert]:
    """The alerts of the alerting step; logs those that open or close."""
    METRICS.open_alerts(item[1].open_alerts)
    for alert in item[1].alerts:
        METRICS.alert(alert.state, alert.kind)
        _log_alert(alert)
    return item[1].alerts


def _log_alert(alert: Alert) -> None:
    if alert.state == "opened":
        _log.warning("alert opened (%s): %s", alert.severity, alert.reason, extra={"alert_id": alert.alert_id})
    elif alert.state == "closed":
        _log.info("alert closed: %s", alert.reason, extra={"alert_id": alert.alert_id})


def folded(settings: Settings) -> Callable[[tuple[str, Grouped]], list[Alert]]:
    """Builds the function that raises, and logs, an alert `group_cap` for each cap that the step has reached."""

    def alerts(item: tuple[str, Grouped]) -> list[Alert]:
        when = to_datetime(max(item[1].folded_at, 0))
        raised = [cap_alert(folding, when, settings) for folding in item[1].folding]
        for alert in raised:
            METRICS.alert(alert.state, alert.kind)
            _log_alert(alert)
        return raised

    return alerts


def crowded(settings: Settings) -> Callable[[tuple[str, Resolving]], list[Alert]]:
    """Builds the function that raises, and logs, an alert once a shard has more sessions than may be known."""

    def alerts(item: tuple[str, Resolving]) -> list[Alert]:
        if item[1].crowded == NEVER:
            return []
        alert = sessions_alert(to_datetime(max(item[1].crowded, 0)), settings)
        METRICS.alert(alert.state, alert.kind)
        _log_alert(alert)
        return [alert]

    return alerts


def recommended(item: tuple[str, Recommendation]) -> Recommendation:
    """The recommendation, without the key of the step."""
    METRICS.recommendation()
    return item[1]


def keyed_json(record: Record) -> Block:
    """A record as JSON, under its key."""
    key = str(getattr(record, record.key_field or "event_id"))
    return key, [(key, to_json(record))]


def heartbeat(batch: Batch) -> Block:
    """An empty block, which wakes a sink: a new epoch may have begun."""
    return batch.lane, []


def letter_json(letter: Letter) -> Block:
    """A dead letter as JSON, under the key of the original record."""
    return letter[0], [(letter[0], to_json(letter[1]))]


def read_history(batch: Batch) -> list[Keyed]:
    """Counts of the records read, and the positions up to which they were read."""
    if not batch.news:
        return [(SNAPSHOT_KEY, Clock(NEVER, NEVER, {}))]
    tally = Tally({"records": batch.records, "dead_letters": len(batch.refused)})
    warned = [(SNAPSHOT_KEY, WarningRows(batch.warnings))] if batch.warnings else []
    return [(SNAPSHOT_KEY, tally), (SNAPSHOT_KEY, Clock(NEVER, NEVER, dict(batch.marks))), *warned]


def resolved_history(item: tuple[str, Resolving]) -> Iterator[Keyed]:
    """Counts of the outcomes of sessions, and what was erased."""
    _, _, _, resolved, erased, *_ = item[1]
    if resolved is not None:
        if "duplicates" in resolved.tally:
            METRICS.duplicates(resolved.tally["duplicates"])
        if resolved.tally:
            yield SNAPSHOT_KEY, Tally(resolved.tally)
    if erased is not None:
        yield SNAPSHOT_KEY, EraseRows(*erased)


def joined_history(settings: Settings) -> Callable[[tuple[str, Joined]], Iterable[Keyed]]:
    """Builds the function that turns the results of the join into rows of calls, verdicts, statements and counts."""
    per_call, tools = settings.snapshot.calls != "none", (settings.snapshot.tools, settings.snapshot.tool_errors)
    texts = text_history(settings)

    def history(item: tuple[str, Joined]) -> Iterator[Keyed]:
        joined = item[1]
        if "duplicates" in joined.tally:
            METRICS.duplicates(joined.tally["duplicates"])
        if "completed" in joined.tally:
            METRICS.completed(joined.tally["completed"])
        if "attempts" in joined.tally:
            METRICS.attempts(joined.tally["attempts"])
        if joined.tally:
            yield SNAPSHOT_KEY, Tally(joined.tally)
        if len(joined.accepted_at):
            yield SNAPSHOT_KEY, Clock(NEVER, int(joined.accepted_at.max()), {})
        if joined.erased is not None:
            yield SNAPSHOT_KEY, EraseRows(*joined.erased)
        if joined.unmatched is not None:
            yield SNAPSHOT_KEY, UnmatchedIds(item[0], joined.unmatched)
        if texts is not None:
            yield from texts(joined)
        if joined.uses:
            yield SNAPSHOT_KEY, ContractsUsed(joined.uses)
        used = used_tools(joined)
        if used:
            yield SNAPSHOT_KEY, ToolChanges(tool_uses(used))
        if not per_call:
            return
        if used and (made := tool_rows(used, *tools)):
            yield SNAPSHOT_KEY, ToolRows(made)
        for make, message in (
            (rows.call_rows, CallRows),
            (rows.completion_rows, CompletionRows),
            (rows.attempt_rows, AttemptRows),
            (rows.verdict_rows, VerdictRows),
            (rows.statement_rows, StatementRows),
            (check_rows(settings.snapshot.checks), CheckRows),
        ):
            made = make(joined)
            if made:
                yield SNAPSHOT_KEY, message(made)

    return history


def cell_history(item: tuple[str, Grouped]) -> list[Keyed]:
    """Differences of the rate cells, the watermark after them, and what came too late for detectors."""
    grouped = item[1]
    clock: list[Keyed] = [(SNAPSHOT_KEY, Clock(grouped.watermark, NEVER, {}))]
    if grouped.late:
        clock.append((SNAPSHOT_KEY, WarningRows([late_warning(late) for late in grouped.late])))
    if not grouped.names:
        return clock
    cells = CellChanges(grouped.names, grouped.cells, grouped.latencies, grouped.delays, grouped.segments)
    opinions = OpinionChanges(grouped.names, grouped.sources, grouped.opinions)
    said: list[Keyed] = [(SNAPSHOT_KEY, opinions)] if len(grouped.opinions.code) else []
    if len(grouped.checks.code):
        said.append((SNAPSHOT_KEY, CheckChanges(grouped.names, grouped.rules, grouped.checks)))
    return [(SNAPSHOT_KEY, cells), *said, *clock]


def mark_history(item: tuple[str, Grouped]) -> list[Keyed]:
    """Rows of `marks`, and how many were accepted, came again, or were refused."""
    marks = item[1].marks
    counts = {"marks": len(marks.accepted), "duplicates": marks.duplicates}
    counts |= dict.fromkeys(("conflicts", "dead_letters"), len(marks.refused))
    if not any(counts.values()):
        return []
    METRICS.marks(counts["marks"])
    METRICS.duplicates(marks.duplicates)
    rows = [(m.mark_id, m.at, m.task_type, m.text, time.time_ns() // 1000) for m in marks.accepted]
    return [(SNAPSHOT_KEY, Tally(counts)), *([(SNAPSHOT_KEY, MarkRows(rows))] if rows else [])]


def letter_history(letter: Letter) -> list[Keyed]:
    """A row of `dead_letters`; only its `received_at` is a wall-clock time."""
    row = letter[1].model_dump() | {"received_at": time.time_ns() // 1000}
    return [(SNAPSHOT_KEY, DeadLetterRows([row]))]


def alert_history(alert: Alert) -> list[Keyed]:
    """A row of `alerts`."""
    return [(SNAPSHOT_KEY, AlertRows([alert]))]


def digest_history(item: tuple[str, Alerted]) -> list[Keyed]:
    """Rows of `digests`: a digest is only queried, so no topic carries it."""
    return [(SNAPSHOT_KEY, DigestRows(item[1].digests))] if item[1].digests else []


def suspicion_history(item: tuple[str, Alerted]) -> list[Keyed]:
    """Rows of `suspicions`, which no topic carries either: most of them are chance."""
    found = item[1].suspicions
    return [] if found is None else [(SNAPSHOT_KEY, SuspicionRows(rows.suspicion_rows(found)))]


def recommendation_history(recommendation: Recommendation) -> list[Keyed]:
    """Rows of `recommendations`."""
    return [(SNAPSHOT_KEY, RecommendationRows([recommendation]))]


def trusted(item: tuple[str, TrustRecord]) -> TrustRecord:
    """The record of trust, without the key of the step."""
    return item[1]


def trust_history(record: TrustRecord) -> list[Keyed]:
    """A row of `trust`."""
    return [(SNAPSHOT_KEY, TrustRows([record]))]


def design_effects(item: tuple[str, Alerted]) -> list[Keyed]:
    """How far conversations widen the intervals of rates."""
    return [(SNAPSHOT_KEY, DesignEffects(item[1].design_effects))] if item[1].design_effects else []
