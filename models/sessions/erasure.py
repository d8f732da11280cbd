"""Erases a call from what was said of one session (docs/decisions/0023, section 9, and 0009)."""

from __future__ import annotations

from models.sessions.resolver import Resolver
from models.sessions.talk import Talk

ERASED = "erased"


def erase_call(resolver: Resolver, row: int, talk: Talk, call_id: str) -> None:
    """Take a call out of what ids were resolved to, and forget the ids of which a record names it."""
    for said in list(talk.ids):
        if any(one.named == call_id for one in said.utterances):
            resolver.drop(ERASED, row, talk, said)
            continue
        said.calls = None if said.calls is None else [call for call in said.calls if call != call_id]
        for one in said.utterances:
            one.reached = [call for call in one.reached if call != call_id]
