"""Finds names of one thing that were typed in several ways, so that each became a group of its own."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Final

import numpy as np

from aftercall.printable import printable
from connectors.batch import Warned

ALIKE_NAMES: Final = "alike_names"
_DATE: Final = re.compile(r"20[0-9]{2}([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12][0-9]|3[01])")
_KINDS: Final = {"model": "model", "config": "config", "task_type": "task"}
"""By column, the table of `[alias]`."""
_SPAN: Final = "7d"
_SHOWN: Final = 60


def alike_names(current_rates: Mapping[str, Any], apart: Mapping[str, Collection[str]]) -> list[Warned]:
    """A warning for each set of names with calls in the last 7 days that differ in nothing one would choose a name by.

    Case, blanks and dashes; in models a date too, as versions of one model have. Configs are often named by a date.

    Args:
        current_rates: the columns of the table; O(its rows).
        apart: by table of `[alias]`, names that are an alias of themselves: they are what they are.
    """
    rates = {column: np.asarray(current_rates[column]) for column in (*_KINDS, "span", "calls", "as_of")}
    live = (rates["span"] == _SPAN) & (rates["calls"] > 0)
    as_of, warnings = int(rates["as_of"].max(initial=0)), []
    for column, kind in _KINDS.items():
        calls: Counter[str] = Counter()
        for name, count in zip(rates[column][live].tolist(), rates["calls"][live].tolist(), strict=True):
            if name not in apart.get(kind, ()):
                calls[name] += count
        families = defaultdict(list)
        for name in sorted(calls, key=lambda name: (-calls[name], name)):
            families[spelling(name, dated=kind == "model")].append(name)
        warnings += [
            Warned(ALIKE_NAMES, f"{kind} {names[0][:_SHOWN]}", len(names), as_of, as_of, _detail(kind, names))
            for names in families.values()
            if len(names) > 1
        ]
    return warnings


def spelling(name: str, *, dated: bool) -> str:
    """A name in lower case, without blanks and dashes (underscores too); where it is `dated`, without a date.

    >>> spelling("GPT-4o 2024-08-06", dated=True)
    'gpt4o'
    """
    undated = _DATE.sub("", name, count=1) if dated else name
    chars = [char for char in undated if not (char.isspace() or char == "_" or unicodedata.category(char) == "Pd")]
    return "".join(chars).casefold() or name


def _detail(kind: str, names: list[str]) -> str:
    shown = [printable(name[:_SHOWN]) for name in names]
    what = "case, blanks, dashes or a date" if kind == "model" else "case, blanks or dashes"
    quoted = [json.dumps(name, ensure_ascii=False) for name in shown]
    lines = ", ".join(f"{name} = {quoted[0]}" for name in quoted[1:])
    return (
        f"{kind}s {', '.join(map(repr, shown))} differ only by {what} (if they are one, write [alias.{kind}] {lines}; "
        "one that is not is set to itself)"
    )
