"""Decides what a further record of an outcome id is: an edition, a duplicate, or none that a ledger may have."""

from __future__ import annotations

from typing import Final

from models.join import details
from models.join.statements import Statement, VerdictRules

Problem = tuple[str, str]
"""Why a record is refused: reason and detail of its dead letter."""
DUPLICATE: Final[Problem] = ("duplicate", "")
"""No dead letter: the record is counted."""


def problem_of(statement: Statement, first: Statement | None, *, repeats: bool, rules: VerdictRules) -> Problem | None:
    """Why a statement does not join the others of its call; None where it does.

    Args:
        statement: as it was sent.
        first: the first record of its id that the call has.
        repeats: whether it equals one of that id in all deciding fields.
        rules: those of the call.
    """
    revises = statement.source in rules.revising
    if statement.bare and (first is None or not revises):
        return "no_verdict", details.no_verdict(statement.source, revises=revises)
    if first is None:
        return None
    revises = first.source in rules.revising
    if repeats or (not revises and statement.says_the_same(first)):
        return DUPLICATE
    field = _differing(statement, first)
    if field is None and revises:
        return None
    return "conflict", details.second_record(field or "same_id", first.source)


def _differing(statement: Statement, first: Statement) -> str | None:
    """What keeps a record from being an edition of another."""
    if statement.source != first.source:
        return "source"
    if statement.author != first.author:
        return "author"
    return None if statement.retracts is None and first.retracts is None else "retracts"
