"""Sentences on a change at a moment that was known beforehand."""

from __future__ import annotations

from collections.abc import Sequence

from models.alarms.alarm import Began


def began_text(began: Began | None) -> str:
    """What began at the moment of a change, where that was known beforehand; empty where it was not.

    >>> began_text(Began("config 'v2'", "config 'v1'"))
    " Config 'v2' began then, and is held against config 'v1'."
    """
    if began is None:
        return ""
    return f" {began.what[0].upper()}{began.what[1:]} began then, and is held against {began.against}."


def following_text(others: Sequence[str]) -> str:
    """A caveat: an arm had alarmed in other task types before.

    >>> following_text(["prime"])[-43:]
    "the same change was seen in 'prime' before."
    """
    named = ", ".join(f"'{task}'" for task in others[:3]) + (" and others" if len(others) > 3 else "")
    return f"No promise is made: the evidence would not do by itself, but the same change was seen in {named} before."
