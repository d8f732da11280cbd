"""What a call is by its tokens, its tools and its language: facets, from the fields of its first record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKENS = (
    (255, "0 to 255"),
    (1023, "256 to 1023"),
    (4095, "1024 to 4095"),
    (16383, "4096 to 16383"),
    (65535, "16384 to 65535"),
    (262143, "65536 to 262143"),
    (10**12, "262144 and more"),
)
TOOLS = ((0, "0"), (1, "1"), (3, "2 to 3"), (7, "4 to 7"), (10**12, "8 and more"))


def facets(raw: Mapping[str, Any]) -> dict[str, str]:
    """The facets that a record has, of those fields that are neither null nor empty text."""
    found = {}
    if "tokens_in" in raw:
        found["tokens_in"] = _stratum(TOKENS, raw["tokens_in"])
    tools = raw.get("tool_calls")
    if isinstance(tools, list):
        failed = any(tool.get("ok") is False or tool.get("error") for tool in tools)
        found["tools"] = _stratum(TOOLS, len(tools)) + (", failed" if failed else "")
    elif tools is not None:
        found["tools"] = _stratum(TOOLS, tools)
    labels = raw.get("attrs") or {}
    kept = [labels[name] for name in ("language", "lang") if name in labels and len(str(labels[name])) <= 256]
    named = [label for label in kept if label]
    if named and isinstance(named[0], str):
        letters = re.fullmatch(r"\s*([A-Za-z]{2,3})([-_].*)?\s*", named[0], re.DOTALL)
        found["language"] = letters.group(1).lower() if letters else "other"
    return found


def _stratum(strata: tuple[tuple[int, str], ...], number: float) -> str:
    return next(text for most, text in strata if number <= most)
