"""Says how much of a change a changed mix of traffic gives, or of one facet of calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aftercall.facets import IN_WORDS, in_words

NOTABLE_MIX: Final = 0.005
"""Points of a part of a change from which it is named."""
_MOST_NAMED: Final = 2
"""Facets."""


def split_text(parts: Sequence[dict[str, Any]], mixes: Sequence[dict[str, Any]] = ()) -> str:
    """What a changed mix surely gives, in sentences; empty where it may be nothing, or is hardly anything.

    Args:
        parts: fields of `aftercall.records.SplitPart`.
        mixes: the same of facets of calls, the clearest first: at most two are named.

    >>> mix = {"points": -0.012, "low": -0.02, "high": -0.004, "share_before": 0.12, "share_since": 0.4}
    >>> split_text([mix | {"dimension": "segment", "value": "long"}])
    " Of this, -1.2 points (-2.0 to -0.4) are from a changed mix: 12% of the outcomes were of segment 'long', now 40%."
    >>> split_text([], [mix | {"dimension": "language", "value": "de"}]).partition(": ")[2]
    "12% of the outcomes were of calls in language 'de', now 40%."
    """
    text = ""
    for one in filter(_is_notable, parts):
        beside = "Of this" if one["dimension"] == "segment" else "Beside this"
        text += f" {beside}, {_given(one)}."
    return text + _of_facets(mixes, text)


def _of_facets(mixes: Sequence[dict[str, Any]], before: str) -> str:
    """`before`: what is said of the mix already."""
    notable = list(filter(_is_notable, mixes))[:_MOST_NAMED]
    if not notable:
        return ""
    said = "; ".join(map(_given, notable))
    if len(notable) == 1 and not before:
        return f" Of this, {said}."
    if len(notable) == 1:
        return f" It may be the same change that, of this, {said}."
    return f" Of this, at most one of these counts, as they may be one change: {said}."


def _is_notable(one: dict[str, Any]) -> bool:
    return one["dimension"] != "within" and not one["low"] <= 0 <= one["high"] and abs(one["points"]) >= NOTABLE_MIX


def _given(one: dict[str, Any]) -> str:
    points = f"{100 * one['points']:+.1f} points ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
    shares = f"{one['share_before']:.0%} of the outcomes were {_of(one)}, now {one['share_since']:.0%}"
    return f"{points} are from a changed mix: {shares}"


def _of(one: dict[str, Any]) -> str:
    what, value = one["dimension"].replace("_", " "), one["value"]
    if one["dimension"] in IN_WORDS:
        return f"of {in_words(one['dimension'], value)}"
    return f"without a {what}" if value is None else f"of {what} '{value}'"
