"""Counts the trials of an oracle by traits of their calls, and those of single sources."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from oracle.lateness import class_of, lateness
from oracle.replay import hash_of

if TYPE_CHECKING:
    from oracle.replay import Oracle


def facet_trials(oracle: Oracle) -> Counter[tuple[Any, ...]]:
    """Trials by (group, minute, facets, success), of calls that have any."""
    usual = oracle.usual()
    return Counter(
        (group, minute, held.facets, int(verdict == "success"))
        for held in oracle._calls
        for group, minute, verdict, _ in held.trials()
        if held.facets and usual.placed(held, group, minute)
    )


def opinion_trials(oracle: Oracle, sources: frozenset[str]) -> Counter[tuple[Any, ...]]:
    """What these sources say: (group, minute, source, success, minutes since the call's, hash of the unit or 0).

    Of calls that came late the minutes are 0, as those of delays.
    """
    usual = oracle.usual()
    return Counter(
        (
            held.group,
            minute,
            source,
            success,
            0 if class_of(lateness(held)) else minute - held.minute,
            0 if held.unit is None else hash_of(held.unit),
        )
        for held in oracle._calls
        for source in sources
        for minute, success in held.opinion_trials(source)
        if usual.placed(held, held.group, minute)
    )
