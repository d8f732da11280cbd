"""What a second record of an id is: of an outcome an edition, of a call a completion, or a duplicate, or a conflict."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oracle.records import Call, Outcome, Rules

MOST_APART_US = 86_400_000_000
EQUAL = ("task_type", "model", "config", "segment")
EQUAL_OR_ABSENT = ("error", "session_id")
FILLED = ("error", "session_id", "latency_ms", "cost_usd", "tokens", "attrs", "attempts")


class Fate(NamedTuple):
    """What becomes of an outcome: `kind` is "new", "edition", "duplicate", or the reason of its dead letter.

    `field` is what its detail names.
    """

    kind: str
    field: str | None = None


NEW, EDITION, DUPLICATE = Fate("new"), Fate("edition"), Fate("duplicate")


def fate(outcome: Outcome, others: Sequence[Outcome], rules: Rules) -> Fate:
    """What becomes of an outcome among the `others` of its call, in the order of their arrival."""
    namesakes = [other for other in others if other.outcome_id == outcome.outcome_id]
    if outcome.bare and outcome.source not in rules.revises:
        return Fate("no_verdict", "same_id")
    if not namesakes:
        return Fate("no_verdict", "outcome_id") if outcome.bare else NEW
    if any(outcome.deciding() == other.deciding() for other in namesakes):
        return DUPLICATE
    first = namesakes[0]
    if first.source not in rules.revises and outcome.content() == first.content():
        return DUPLICATE
    for name in ("source", "author"):
        if getattr(outcome, name) != getattr(first, name):
            return Fate("conflict", name)
    if outcome.retracts is not None or first.retracts is not None:
        return Fate("conflict", "retracts")
    return EDITION if first.source in rules.revises else Fate("conflict", "same_id")


def entered(outcome: Outcome, others: Sequence[Outcome]) -> Outcome:
    """A record as it stands in the ledger: with its edition, and a clearing as the retraction that it is."""
    edition = 1 + sum(other.outcome_id == outcome.outcome_id for other in others)
    return replace(outcome, edition=edition, action="retract" if outcome.bare else outcome.action)


def differing(first: Call, other: Call) -> str | None:
    """The first field that keeps `other` from being a record of the same call; None if none does."""
    for name in EQUAL:
        if first.sent_as(name) != other.sent_as(name):
            return name
    for name in EQUAL_OR_ABSENT:
        if None not in {getattr(first, name), getattr(other, name)} and getattr(first, name) != getattr(other, name):
            return name
    return "occurred_at" if abs(first.at - other.at) > MOST_APART_US else None


def completed(first: Call, other: Call) -> Call:
    """The call with what the first record lacks and the other has; the same where that is nothing."""
    absent = [name for name in FILLED if getattr(first, name) in (None, {}, ())]
    call = replace(
        first, **{name: getattr(other, name) for name in absent if getattr(other, name) not in (None, {}, ())}
    )
    if call.latency_ms is None and other.at != first.at:
        call = replace(call, latency_ms=abs(other.at - first.at) / 1000)
    return replace(call, unkept=first.unkept | other.unkept)
