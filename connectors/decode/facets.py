"""Reads the facets of calls: strata of `tokens_in`, tool calls and language, as one code each."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

import numpy as np

from aftercall.facets import COUNT_BOUNDS, FAILED, LANGUAGE_AT, TOKEN_BOUNDS, TOKENS_AT, language_code
from connectors.batch import F64, U32, Bools
from connectors.decode.tool_lists import ToolLists

_TOKENS: Final = np.array(TOKEN_BOUNDS, np.float64)
_COUNTS: Final = np.array(COUNT_BOUNDS, np.int64)
_ends = attrgetter("ok", "error")


def with_tokens(facets: U32, tokens_in: F64) -> U32:
    """The codes with the strata of `tokens_in`, nan where it is absent."""
    stratum = np.searchsorted(_TOKENS, tokens_in, side="right")
    stratum[np.isnan(tokens_in)] = 0
    return facets | (stratum << TOKENS_AT).astype(np.uint32)


def languages(attrs: Sequence[Any]) -> U32:
    """Codes with the languages that labels name; an item is None where a call has no labels."""
    if attrs.count(None) == len(attrs):
        return np.zeros(len(attrs), np.uint32)
    texts = [(labels.get("language") or labels.get("lang")) if labels else None for labels in attrs]
    codes = {text: language_code(text) if text and type(text) is str else 0 for text in set(texts)}
    return np.fromiter(map(codes.__getitem__, texts), np.uint32, len(attrs)) << np.uint32(LANGUAGE_AT)


def tools(lists: ToolLists, has_failed: Bools) -> U32:
    """Codes with the number of tool calls, and whether one failed, `has_failed` of each call."""
    counts, known = lists.counts.copy(), ~lists.absent
    for at in np.flatnonzero(known & (counts == 0)).tolist():  # a number, or an empty list
        given = lists.given[at]
        counts[at] = 0 if type(given) is list else given
    codes: U32 = (np.searchsorted(_COUNTS, counts, side="right") * known).astype(np.uint32)
    return codes | has_failed * np.uint32(FAILED)


def failed(lists: ToolLists) -> Bools:
    """Of which calls a tool call failed. Some 0.1 us per tool call."""
    found = np.zeros(len(lists.counts), np.bool_)
    # `is_failure`, without a call of it for each tool call, which would cost as much again.
    broken = [ok is False or bool(error) for ok, error in map(_ends, lists.tools)]
    if True in broken:
        found[lists.owners()[broken]] = True
    return found


def is_failure(ok: bool | None, error: str | None) -> bool:  # noqa: FBT001 - a field
    """Whether a tool call with these fields failed."""
    return ok is False or bool(error)
