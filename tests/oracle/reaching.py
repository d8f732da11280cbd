"""Draws histories, the same ones on every run, until each corner that they are meant to reach has been met."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from hypothesis import Phase, given, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from hypothesis import strategies as st

_T = TypeVar("_T")
OFTEN: Final = 3
"""In so many histories each corner must be met."""


class _Enough(Exception):  # noqa: N818 - no error: it ends the drawing
    """Nothing is left to be met."""


def met(
    strategy: st.SearchStrategy[_T], wanted: Collection[str], meets: Callable[[_T], Iterable[str]], *, most: int
) -> Counter[str]:
    """In how many histories each corner was met when all `wanted` ones had been `OFTEN`, or after `most` histories.

    `meets` gives the corners of a history, each once.
    """
    found: Counter[str] = Counter()

    @settings(max_examples=most, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    @given(strategy)
    def look(history: _T) -> None:
        found.update(meets(history))
        if min(found[name] for name in wanted) >= OFTEN:
            raise _Enough

    with suppress(_Enough):
        look()
    return found


def seldom(found: Counter[str], wanted: Collection[str]) -> set[str]:
    """The corners that were met less than `OFTEN`."""
    return {name for name in wanted if found[name] < OFTEN}
