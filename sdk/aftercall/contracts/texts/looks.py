"""Makes of each rule on texts what looks at them: its terms for the one search, and what it makes of those found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from aftercall.contracts.params.columns import OutputLength
from aftercall.contracts.params.texts import Format, ProhibitedTopics, RequiredTopics, RestrictedData, Safety
from aftercall.contracts.records.columns import of_length
from aftercall.contracts.results import MAX_DETAILS, Finding, in_error
from aftercall.contracts.texts import formats, restricted_data, topics
from aftercall.contracts.texts.folding import Folded
from aftercall.contracts.texts.snippets import LENGTH, Snippets
from aftercall.contracts.texts.terms import Term

_ROOM: Final = MAX_DETAILS - LENGTH - 4
"""Characters of details before a snippet."""


class SearchedText(NamedTuple):
    """A text of a call, for one rule.

    Attributes:
        given: as it was sent.
        folded: None where it cannot be searched, for the reason `unread`.
        unread: a clause.
        found: the rule's terms that stand in it, in the rule's order.
    """

    given: str
    folded: Folded | None
    unread: str
    found: Sequence[Any]


class Look(Protocol):
    """A rule on texts."""

    @property
    def terms(self) -> Sequence[Term]:
        """What the search must look for."""

    def judge(self, texts: Mapping[str, SearchedText]) -> Finding:
        """What the rule finds; `texts`: those of its fields that were sent, one at least."""


def look_of(params: Any, snippets: Snippets | None) -> Look:
    """What looks at texts for a rule; `snippets`: None where no piece of a text may be quoted.

    Raises:
        ValueError: a phrase, pattern or schema of the rule is refused; one clause that begins with its key.
    """
    if isinstance(params, Format):
        return _OfFormat(params, snippets)
    if isinstance(params, RestrictedData):
        return _OfData(params)
    return _OfLength(params) if isinstance(params, OutputLength) else _OfTopics(params, snippets)


class _OfLength:
    """Characters are code points; words are what blanks separate."""

    terms: Sequence[Term] = ()

    def __init__(self, params: OutputLength) -> None:
        self._params = params

    def judge(self, texts: Mapping[str, SearchedText]) -> Finding:
        text = texts["output"].given
        return of_length(self._params, len(text) if self._params.unit == "characters" else len(text.split()))


class _OfFormat:
    terms: Sequence[Term] = ()

    def __init__(self, params: Format, snippets: Snippets | None) -> None:
        self._judge, self._snippets = formats.check_of(params), snippets

    def judge(self, texts: Mapping[str, SearchedText]) -> Finding:
        text = texts["output"].given
        found = self._judge(text)
        if self._snippets is None or found.result != "fail":
            return found
        return _with(found, self._snippets.beginning(text))


class _OfTopics:
    def __init__(self, params: ProhibitedTopics | RequiredTopics | Safety, snippets: Snippets | None) -> None:
        self._params, self._snippets = params, snippets
        self._looked = topics.terms_of(params)
        self._topics = tuple(dict.fromkeys(looked.topic for looked in self._looked))
        self._listed = topics.Listed(self._looked)
        self._by_term = {id(looked.term): looked for looked in self._looked}
        self._field = getattr(params, "where", "output")

    @property
    def terms(self) -> Sequence[Term]:
        return [looked.term for looked in self._looked]

    def judge(self, texts: Mapping[str, SearchedText]) -> Finding:
        text = texts[self._field]
        if self._looked and text.folded is None:
            return in_error(f"the {self._field} cannot be searched: {text.unread}")
        found = [self._by_term[id(term)] for term in text.found]
        if isinstance(self._params, RequiredTopics):
            return topics.required(self._params, self._listed, self._topics, found)
        judged = topics.prohibited(self._listed, found)
        if self._snippets is None or not found:
            return judged
        return _with(judged, self._snippets.around(text.given, found[0].term))


class _OfData:
    """Never shows a snippet: it would hold what must not stand there."""

    def __init__(self, params: RestrictedData) -> None:
        self._params = params
        self.terms: Sequence[Term] = restricted_data.sought_by(params)
        self._is_allowed = restricted_data.allowing(params.allow)

    def judge(self, texts: Mapping[str, SearchedText]) -> Finding:
        read = {field: (text.folded, text.found) for field, text in texts.items() if text.folded}
        judged = restricted_data.judged(self._params, read, self._is_allowed)
        unread = next(((field, text.unread) for field, text in texts.items() if text.folded is None), None)
        if unread is not None and self.terms and judged.result != "fail":
            return in_error(f"the {unread[0]} cannot be searched: {unread[1]}")
        return judged


def _with(found: Finding, snippet: str) -> Finding:
    return found._replace(details=found.details[:_ROOM] + snippet) if snippet else found
