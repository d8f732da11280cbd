"""Lays the tool calls of a piece end to end, so that each field of them is read in one go."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from operator import is_
from typing import Any, NamedTuple, Self

import numpy as np

from connectors.batch import I64, Bools
from connectors.decode.structs import ToolCallRecord


class ToolLists(NamedTuple):
    """What calls carry in `tool_calls`.

    Attributes:
        given: per call None, a number, or a list.
        absent: per call whether it is None.
        counts: per call the length of its list, 0 where there is none.
        tools: those of all lists, in the order of the calls.
    """

    given: Sequence[Any]
    absent: Bools
    counts: I64
    tools: list[ToolCallRecord]

    @classmethod
    def of(cls, given: Sequence[Any]) -> Self:
        """Those of some calls. About 0.03 us per call, and 0.02 us per tool call."""
        lists = [some if type(some) is list else () for some in given]
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        absent = np.fromiter(map(is_, given, repeat(None)), np.bool_, len(lists))
        return cls(given, absent, counts, list(chain.from_iterable(lists)))

    def owners(self) -> I64:
        """Of each tool call, which call it is of."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def apart(self, most: int) -> tuple[Self, Self]:
        """Those with lists of at most `most` tool calls, and those with longer ones; the others without any."""
        is_long = (self.counts > most).tolist()
        short, long = (
            [() if is_other else some for some, is_other in zip(self.given, others, strict=True)]
            for others in (is_long, [not one for one in is_long])
        )
        return type(self).of(short), type(self).of(long)
