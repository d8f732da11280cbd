"""Judges all rules on texts of one contract: one search finds the phrases and patterns of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from aftercall.contracts.contract import Contract, ContractError, Rule
from aftercall.contracts.results import RuleResult, in_error, not_applicable
from aftercall.contracts.texts.folding import Folded, UnreadableError
from aftercall.contracts.texts.looks import Look, SearchedText, look_of
from aftercall.contracts.texts.one_search import OneSearch
from aftercall.contracts.texts.snippets import Snippets


class _Searched(NamedTuple):
    """A text, for all rules: as `SearchedText`, but `found` is by the place of the rule."""

    given: str
    folded: Folded | None
    unread: str
    found: Mapping[int, Sequence[Any]]

    def of(self, place: int) -> SearchedText:
        return SearchedText(self.given, self.folded, self.unread, self.found.get(place, ()))


class TextPass:
    """The rules on texts of one contract. `when` is not its business: the engine looks at it."""

    def __init__(self, contract: Contract, *, redact: Sequence[str] | None = None) -> None:
        """Compile the rules, some 50 us each and 20 us per phrase.

        Args:
            contract: whose rules on texts are judged.
            redact: with `[contracts] evidence = "snippet"`, the patterns of `privacy.redact`: details of rules on
                topics and formats then show 60 characters of the text. None: no piece of a text is in any result.

        Raises:
            ContractError: a phrase, a pattern or a schema is refused.
            UsageError: google-re2 or jsonschema-rs is not installed.
        """
        snippets = None if redact is None else Snippets(redact)
        self.rules: Final = tuple(rule for rule in contract.rules if rule.room == "text")
        """Those on texts, in the contract's order."""
        self._looks = [_looked(contract, rule, snippets) for rule in self.rules]
        terms = [(place, term) for place, look in enumerate(self._looks) for term in look.terms]
        self._search = _search_of(contract, terms)
        self._fields = [tuple(sorted(rule.params.reads)) for rule in self.rules]
        self._clean: dict[tuple[str, ...], list[RuleResult | None]] = {}

    def results(self, given: str | None, output: str | None) -> list[RuleResult]:
        """One result per rule on texts, in the order of the contract's rules; never an exception.

        Args:
            given: the call's `input`; None, or empty, where none was sent.
            output: the call's `output`, likewise.

        Costs about 3 ns a byte of ASCII for the search, 10 to 20 beyond; benchmarks/contracts.py measures it.
        """
        texts = {field: self._read(text) for field, text in (("input", given), ("output", output)) if text}
        clean = self._clean_of(texts)
        # A rule that searched, and found nothing in texts that could be read, finds what it always does.
        news = {place for text in texts.values() for place in text.found}
        unread = any(text.folded is None for text in texts.values())
        return [
            self._found(place, texts) if found is None or unread or place in news else found
            for place, found in enumerate(clean)
        ]

    def _read(self, text: str) -> _Searched:
        if self._search is None:
            return _Searched(text, None, "", {})
        try:
            folded = Folded(text)
            terms = self._search.find(folded)
        except UnreadableError as wrong:
            return _Searched(text, None, str(wrong), {})
        except Exception as wrong:  # noqa: BLE001 - as below
            return _Searched(text, None, f"the search failed with {type(wrong).__name__}", {})
        found: dict[int, list[Any]] = {}
        for place, term in terms:
            found.setdefault(place, []).append(term)
        return _Searched(text, folded, "", found)

    def _clean_of(self, texts: Mapping[str, _Searched]) -> list[RuleResult | None]:
        """What rules find where these texts were sent and nothing stands in them; None of those that do not search."""
        sent = tuple(texts)
        known = self._clean.get(sent)
        if known is None:
            empty = {field: _Searched("", Folded(""), "", {}) for field in sent}
            known = self._clean[sent] = [
                self._found(place, empty) if look.terms else None for place, look in enumerate(self._looks)
            ]
        return known

    def _found(self, place: int, texts: Mapping[str, _Searched]) -> RuleResult:
        rule, fields = self.rules[place], self._fields[place]
        missing = rule.params.needs - texts.keys()
        if missing:
            return not_applicable(f"no {min(missing)} was sent").of(rule.id, rule.type)
        there = {field: texts[field].of(place) for field in fields if field in texts}
        try:
            found = self._looks[place].judge(there)
        except Exception as wrong:  # noqa: BLE001 - a rule must never cost a call, and its words might hold the text
            found = in_error(f"the rule failed with {type(wrong).__name__}: a defect of aftercall, please report it")
        return found.of(rule.id, rule.type)


@lru_cache(256)
def text_pass(contract: Contract) -> TextPass:
    """The pass of a contract, made once.

    Raises:
        ContractError: as `TextPass`.
    """
    return TextPass(contract)


def _looked(contract: Contract, rule: Rule, snippets: Snippets | None) -> Look:
    try:
        return look_of(rule.params, snippets)
    except ValueError as wrong:
        raise ContractError(f"{contract.place or contract.label}, rule {rule.id!r}, {wrong}") from None


def _search_of(contract: Contract, terms: list[Any]) -> OneSearch[int] | None:
    try:
        return OneSearch(terms) if terms else None
    except ValueError as wrong:
        raise ContractError(f"{contract.place or contract.label}: {wrong} (make it two contracts)") from None
