"""Brings together the tool calls that an agent reports, and what is known to have been broken."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from aftercall.evals.faults.uses import SeenUse


def marked_calls(reported: Iterable[Any], seen: Iterable[SeenUse]) -> list[Any]:
    """The tool calls of a case as rules should read them.

    An agent seldom marks that a result was empty, partial or old, and rules find only what is marked. So the n-th call
    of a tool that it reports gets the marks of the n-th use that was seen. A tool whose calls it does not report at all
    has those that were seen, before its own. Of an agent that reports fewer calls of a tool than were seen, such as one
    for several attempts, the last ones seen count.

    >>> seen = [SeenUse("c", "search", 1, "empty", "empty:search", True)]
    >>> marked_calls([{"name": "search", "ok": True}], seen)
    [{'name': 'search', 'ok': True, 'empty': True}]
    >>> marked_calls([], seen)
    [{'name': 'search', 'ok': True, 'latency_ms': 0.0, 'empty': True}]
    """
    calls = list(reported)
    uses: dict[str, list[SeenUse]] = defaultdict(list)
    for use in seen:
        uses[use.tool].append(use)
    places: dict[str, list[int]] = defaultdict(list)
    for at, call in enumerate(calls):
        name = call.get("name") if isinstance(call, Mapping) else None
        if isinstance(name, str):
            places[name].append(at)
    for name, own in uses.items():
        if len(places[name]) < len(own):
            own = own[len(own) - len(places[name]) :]  # noqa: PLW2901 - the last ones
        for at, use in zip(places[name], own, strict=False):
            calls[at] = {**calls[at], **use.marks}
    unreported = [use.wire() for use in seen if not places[use.tool]]
    return [*unreported, *calls]
