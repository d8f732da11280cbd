"""Judges the rule on restricted data."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate
from typing import Final

from aftercall.contracts.globs import refuse_bad_glob
from aftercall.contracts.params.texts import RestrictedData
from aftercall.contracts.results import Finding, fails, in_error, passes
from aftercall.contracts.texts.folding import Folded, folded
from aftercall.contracts.texts.linear import compiled, quoted
from aftercall.contracts.texts.restricted.detector import DataKind, TooManyError
from aftercall.contracts.texts.restricted.kinds import DATA_KINDS
from aftercall.contracts.texts.terms import PatternTerm

MAX_MATCHES: Final = 100
"""Of one pattern, where some of its matches are allowed."""
NO_KINDS: Final = "nothing to look for (set detect = [kinds] or patterns)"
_SPELLING: Final = str.maketrans("", "", " -")

Sought = DataKind | PatternTerm


def sought_by(params: RestrictedData) -> list[Sought]:
    """What a rule looks for, in its order.

    Raises:
        ValueError: a pattern or an allowed value is refused; one clause that begins with its key.
    """
    found: list[Sought] = [DATA_KINDS[kind] for kind in dict.fromkeys(params.detect)]
    for pattern in params.patterns:
        try:
            found.append(PatternTerm(pattern))
        except ValueError as wrong:
            raise ValueError(f"patterns: {wrong}") from None
    for value in params.allow:
        try:
            refuse_bad_glob(value)
        except ValueError as wrong:
            raise ValueError(f"allow: {wrong} (write the bracket as [[])") from None
    return found


def allowing(values: Sequence[str]) -> Callable[[str], bool] | None:
    """Whether a value is allowed: it matches a glob, with or without its blanks and dashes, in any case; None: none."""
    if not values:
        return None
    # Not `Globs`, which keeps what it was asked for.
    match = re.compile("|".join(translate(form) for value in values for form in (folded(value), _compact(value)))).match
    return lambda value: match(folded(value)) is not None or match(_compact(value)) is not None


def judged(
    params: RestrictedData,
    texts: Mapping[str, tuple[Folded, Sequence[Sought]]],
    is_allowed: Callable[[str], bool] | None,
) -> Finding:
    """What stands in the texts that there are.

    Args:
        params: of the rule.
        texts: by field, each text and what the search has found in it.
        is_allowed: of values.
    """
    if not params.detect and not params.patterns:
        return in_error(NO_KINDS)
    total, words, given_up = 0, [], []
    for field, (text, found) in texts.items():
        parts = []
        for sought in found:
            try:
                count, everything = _count(sought, text, is_allowed)
            except TooManyError as wrong:
                given_up.append(f"{field}: {wrong}")
                continue
            if count:
                total += count
                parts.append(f"{_name(sought)} {_times(count, everything)}")
        if parts:
            words.append(f"{', '.join(parts)} in the {field}")
    if words:
        return fails("; ".join(words), float(total), 0.0)
    if given_up:
        return in_error(given_up[0])
    return passes(f"none of {_listed(params)} in the {' or '.join(texts)} (only these forms are found)", 0.0, 0.0)


def _count(sought: Sought, text: Folded, is_allowed: Callable[[str], bool] | None) -> tuple[int, bool]:
    """How many values stand in a text that are not allowed, and whether these are all."""
    if isinstance(sought, DataKind):
        found = sought.find(text, is_allowed or _nothing)
        return len(found.values), found.all
    if is_allowed is None:
        return 1, False  # it was found; how often was not looked for
    pattern, count = compiled(sought.prefilter), 0
    at = 0
    for _ in range(MAX_MATCHES):
        match = pattern.search(text.data, at)
        if match is None:
            return count, True
        start, at = match.span()
        count += not is_allowed(text.data[start:at].decode("utf-8", "replace"))
    if not count:
        raise TooManyError(
            f"more than {MAX_MATCHES} matches of pattern {quoted(sought.words)}, of which the first are allowed"
        )
    return count, False


def _nothing(_value: str) -> bool:
    return False


def _name(sought: Sought) -> str:
    return f"pattern {quoted(sought.words)}" if isinstance(sought, PatternTerm) else sought.name


def _times(count: int, everything: bool) -> str:  # noqa: FBT001 - read as "2 times, all of them"
    if count == 1:
        return "once" if everything else "at least once"
    return f"{'' if everything else 'at least '}{count:,} times"


def _listed(params: RestrictedData) -> str:
    kinds = ", ".join(dict.fromkeys(params.detect))
    patterns = f"{len(params.patterns)} patterns" if len(params.patterns) != 1 else "1 pattern"
    return " and ".join([kinds] * bool(kinds) + [patterns] * bool(params.patterns))


def _compact(value: str) -> str:
    return folded(value).translate(_SPELLING)
