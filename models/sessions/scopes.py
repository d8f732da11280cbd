"""Picks the calls that an outcome of a session is about: by event times alone, of those known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Candidate(NamedTuple):
    """A call at or before an outcome, in the order of (`at`, `call_id`). Its outcomes count up to `end`."""

    at: int
    call_id: str
    parent: str | None
    end: int
    close: int


def in_scope(scope: str, named: str, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Those of the candidates, oldest first, that a scope means. O(n).

    Raises:
        ValueError: there is no such scope.
    """
    match scope:
        case "last":
            return candidates[-1:]
        case "root":
            return candidates[:1]
        case "all":
            return candidates
        case "descendants":
            return _descendants(named, candidates)
    raise ValueError(f"no scope {scope!r}")


def _descendants(named: str, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """The named call, if it is there, and those below it; circles end where they began."""
    children: dict[str, list[str]] = {}
    for one in candidates:
        if one.parent is not None:
            children.setdefault(one.parent, []).append(one.call_id)
    below, unvisited = set[str](), [named] if any(one.call_id == named for one in candidates) else []
    while unvisited:
        call_id = unvisited.pop()
        if call_id not in below:
            below.add(call_id)
            unvisited += children.get(call_id, ())
    return [one for one in candidates if one.call_id in below]
