"""Judges the rules on topics: phrases and patterns that must not, or must, stand in a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from aftercall.contracts.params.texts import ProhibitedTopics, RequiredTopics, Safety
from aftercall.contracts.results import Finding, fails, in_error, passes
from aftercall.contracts.texts.linear import quoted
from aftercall.contracts.texts.terms import PatternTerm, PhraseTerm

_NAMED: Final = 3
"""So many topics are named where several were found or are missing."""
NO_TOPICS: Final = "nothing to look for (set topics = {name = [phrases]} or patterns)"


class Looked(NamedTuple):
    """A term of a rule on topics; `topic`: its name, of a pattern the pattern itself."""

    topic: str
    term: PhraseTerm | PatternTerm


def terms_of(params: ProhibitedTopics | RequiredTopics | Safety) -> list[Looked]:
    """What a rule looks for, in its order.

    Raises:
        ValueError: a phrase or pattern is refused; one clause that begins with its key.
    """
    found: list[Looked] = []
    for topic, phrases in params.topics.items():
        found += [Looked(topic, _made(PhraseTerm, phrase, f"topics.{topic}")) for phrase in phrases]
    return found + [Looked(pattern, _made(PatternTerm, pattern, "patterns")) for pattern in params.patterns]


def _made(kind: type[PhraseTerm | PatternTerm], text: str, key: str) -> PhraseTerm | PatternTerm:
    try:
        return kind(text)
    except ValueError as wrong:
        raise ValueError(f"{key}: {wrong}") from None


class Listed:
    """How much a rule looks for, in words."""

    def __init__(self, terms: Sequence[Looked]) -> None:
        phrases = [looked.topic for looked in terms if isinstance(looked.term, PhraseTerm)]
        patterns = len(terms) - len(phrases)
        parts = []
        if phrases:
            parts.append(f"{_counted(len(phrases), 'phrase')} of {_counted(len(set(phrases)), 'topic')}")
        if patterns:
            parts.append(_counted(patterns, "pattern"))
        kinds = " and ".join(["phrases"] * bool(phrases) + ["patterns"] * bool(patterns))
        self.words = " and ".join(parts)
        self.caution = f"{kinds} find only what is listed"


def prohibited(listed: Listed, found: Sequence[Looked]) -> Finding:
    """None of the terms may stand in the text."""
    if not listed.words:
        return in_error(NO_TOPICS)
    if not found:
        return passes(f"none of {listed.words} ({listed.caution})", 0.0, 0.0)
    return fails(_named(found), float(len(found)), 0.0)


def required(params: RequiredTopics, listed: Listed, topics: Sequence[str], found: Sequence[Looked]) -> Finding:
    """So many of `topics`, the names of all, must stand in the text."""
    if not topics:
        return in_error(NO_TOPICS)
    wanted = params.at_least or (1 if params.require == "any" else len(topics))
    there = {looked.topic for looked in found}
    what = f"{len(there)} of {_counted(len(topics), 'topic')} found, at least {wanted} wanted"
    if len(there) >= wanted:
        return passes(f"{what} ({listed.caution})", float(len(there)), float(wanted))
    missing = [topic for topic in topics if topic not in there]
    return fails(f"{what}; not found: {_some(map(quoted, missing))}", float(len(there)), float(wanted))


def _named(found: Sequence[Looked]) -> str:
    """The topics with their first phrase each, as they are listed; never as they stand in the text."""
    first: dict[str, Looked] = {}
    for looked in found:
        first.setdefault(looked.topic, looked)
    count = Counter(looked.topic for looked in found)
    return _some(_one(looked, count[looked.topic]) for looked in first.values())


def _one(looked: Looked, count: int) -> str:
    if isinstance(looked.term, PatternTerm):
        return f"pattern {quoted(looked.term.words)}"
    more = f" and {count - 1} more" if count > 1 else ""
    return f"topic {quoted(looked.topic)}: phrase {quoted(looked.term.words)}{more}"


def _some(words: Iterable[str]) -> str:
    words = list(words)
    more = f"; and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return "; ".join(words[:_NAMED]) + more


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
