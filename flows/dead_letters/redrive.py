"""Sends the records of dead letters again: what can be had, and would not be refused for the same reason.

A record is marked in the log once it is sent. A crash in between has it sent again by the next command, and the
pipeline counts that as a duplicate.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from aftercall.records import DeadLetter, FileOrigin, TopicOrigin
from connectors.dead_letters import REDACTED
from connectors.decode.decoder import CALL, MARK, OUTCOME
from flows.dead_letters.destinations import Destination, Item
from flows.dead_letters.logs import REDRIVEN, Log, LoggedLetter, place_of
from flows.dead_letters.originals import Original, originals
from flows.settings import Settings
from flows.settings.for_decoder import decoder_of

_ROUND: Final = 500
"""Records that are sent before they are marked: so many are sent twice after a crash, at most."""


@dataclass(frozen=True)
class Plan:
    """What a redrive will do.

    Attributes:
        ready: records to send, in the order of their places, calls first.
        again: records that would be refused again.
        lost: dead letters whose records cannot be sent, and why.
    """

    ready: list[Item]
    again: list[Item]
    lost: list[tuple[LoggedLetter, str]]


def plan(letters: Sequence[LoggedLetter], log: Log, settings: Settings, destination: Destination) -> Plan:
    """Find the records, and decode them under the present settings; sends nothing.

    What the join refuses (`late`, `too_old`, `orphan`, `conflict`) depends on what it holds when the record comes: it
    is not found out here.

    Raises:
        UserError: the broker is away, or refuses.
    """
    lost: list[tuple[LoggedLetter, str]] = []
    items: dict[object, Item] = {}
    found = originals(letters, settings)
    for letter in letters:
        original = found[letter.record.event_id]
        problem = original if isinstance(original, str) else destination.problem(letter)
        if isinstance(original, str) or problem:
            lost.append((letter, problem))
        else:
            # One record may have several dead letters: with other contents after a crash, or of several runs.
            items.setdefault(letter.record.origin, Item(letter, original, _kind(letter, original, log, settings)))
    ordered = sorted(items.values(), key=lambda item: (item.kind != CALL, _order(item.letter)))
    judged = _judged(ordered, settings)
    return Plan([item for item in judged if not item.refusal], [item for item in judged if item.refusal], lost)


class Done(NamedTuple):
    """How many records were sent, and those that were refused, with why."""

    sent: int
    refused: list[tuple[LoggedLetter, str]]


def carry_out(items: Sequence[Item], destination: Destination, log: Log) -> Done:
    """Send records, and mark them.

    Raises:
        UserError: they cannot be sent or marked; some may have been, and the same command may be given again.
    """
    sent, refused = 0, []
    for start in range(0, len(items), _ROUND):
        some = items[start : start + _ROUND]
        marks = []
        for item, place in zip(some, destination.send(some), strict=True):
            if isinstance(place, str):
                refused.append((item.letter, place))
            else:
                marks.append(_mark(item.letter, place))
        if marks:
            log.mark(marks)
        sent += len(marks)
    return Done(sent, refused)


def _mark(letter: LoggedLetter, place: TopicOrigin | FileOrigin) -> LoggedLetter:
    record = letter.record
    mark = DeadLetter.sealed(
        reason=REDRIVEN,
        detail=f"the record of this dead letter ({record.reason}) was sent again: {place_of(place)}",
        origin=place,
        size=record.size,
        sha256=record.sha256,
        payload=None,
        redriven_of=record.event_id,
    )
    return letter._replace(record=mark)


def _kind(letter: LoggedLetter, original: Original, log: Log, settings: Settings) -> int:
    origin = letter.record.origin
    if isinstance(origin, TopicOrigin):
        topics = settings.kafka.topics
        return {topics.outcomes: OUTCOME, topics.marks: MARK}.get(origin.topic, CALL)
    if isinstance(origin, FileOrigin) and log.outcome_files is not None:
        return MARK if origin.file in log.mark_files else OUTCOME if origin.file in log.outcome_files else CALL
    try:
        record = json.loads(original.record)
    except ValueError:
        return CALL
    if not isinstance(record, dict):
        return CALL
    return OUTCOME if "outcome_id" in record else MARK if "mark_id" in record else CALL


def _order(letter: LoggedLetter) -> tuple[str, int, int]:
    origin = letter.record.origin
    if isinstance(origin, TopicOrigin):
        return origin.topic, origin.partition, origin.offset
    return (origin.file, origin.line, 0) if origin is not None else ("", 0, 0)


def _judged(items: Sequence[Item], settings: Settings) -> list[Item]:
    """The items, each with why the decoder would refuse it now."""
    decoder = decoder_of(settings, lambda: time.time_ns() // 1000)
    batch = decoder.decode(
        [item.original.record for item in items],
        np.array([item.kind for item in items], np.uint8),
        np.zeros(len(items), np.int32),
        np.arange(len(items), dtype=np.int64),
    )
    refusals = {}
    for refused in batch.refused:
        detail = f"{refused.reason}: {refused.detail}"
        for pattern in settings.privacy.redact:  # as in a dead letter
            detail = re.sub(pattern, REDACTED, detail)
        refusals[refused.offset] = detail
    return [item._replace(refusal=refusals.get(i, "")) for i, item in enumerate(items)]
