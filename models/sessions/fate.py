"""Decides what a second record of an outcome id is, as a ledger does (docs/decisions/0020, section 1, and 0023, 4)."""

from __future__ import annotations

from typing import Final, NamedTuple

from models.sessions.talk import SaidId, Utterance


class Fate(NamedTuple):
    """`kind` is "new", "edition", "duplicate", or the reason of a dead letter, whose `detail` is one sentence."""

    kind: str
    detail: str = ""


NEW_ID: Final = Fate("new")
EDITION: Final = Fate("edition")
SAID_BEFORE: Final = Fate("duplicate")
_UNSEEN: Final = "has neither success nor score, and its outcome_id is new to the session; `action = retract` clears"
_NOT_REVISED: Final = "has neither success nor score; a source with `same_id = revises` clears so, others by `retract`"


def fate(said: SaidId | None, one: Utterance, revises: frozenset[str]) -> Fate:
    """What becomes of a record of an id that is known, or of one that is new. O(records of the id)."""
    if one.bare and one.source not in revises:
        return Fate("no_verdict", _NOT_REVISED)
    if said is None:
        return Fate("no_verdict", _UNSEEN) if one.bare else NEW_ID
    if any(one.deciding() == other.deciding() for other in said.utterances) or _says_it_again(said, one):
        return SAID_BEFORE
    differing = _differing(said, one)
    if differing is None:
        return EDITION
    return Fate("conflict", f"outcome_id '{said.outcome_id}' of this session came before with another {differing}")


def _says_it_again(said: SaidId, one: Utterance) -> bool:
    """Whether a record of an id that is not revised says the same of the same calls, at another time."""
    first = said.utterances[0]
    return not said.revises and one.says_the_same(first) and one.subject == first.subject


def _differing(said: SaidId, one: Utterance) -> str | None:
    """What keeps a record from being an edition of an id; None if nothing does."""
    first, asserting = said.utterances[0], said.asserting()
    if one.source != first.source:
        return "source"
    if one.author != first.author:
        return "author"
    if one.retracts is not None or first.retracts is not None:
        return "retracts"
    if not said.revises and not one.says_the_same(first):
        return "content, and its source has `same_id = conflict`"
    if one.asserts and asserting is not None and one.subject != asserting.subject:
        return "scope" if one.scope != asserting.scope else "call_id"
    return None
