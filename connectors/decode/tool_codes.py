"""Numbers the paths that calls take through their tools, while their records are in the processor's cache.

Agents have few tools, which mostly work: distinct tool calls are few, and so are the paths. Who judges paths then need
not read the tool calls again, but for one of each path.
"""

from __future__ import annotations

import secrets
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.vocabulary import CODED_OF_TOOLS
from connectors.batch import I64, Bools
from connectors.decode.facets import failed, is_failure
from connectors.decode.tool_lists import ToolLists

_BITS: Final = 12
MOST_CODES: Final = (1 << _BITS) - 1
MOST_IN_PATH: Final = 63 // _BITS
"""So many codes of tool calls fit in a number."""
_of_tool = attrgetter(*CODED_OF_TOOLS)
_OK, _ERROR = map(CODED_OF_TOOLS.index, ("ok", "error"))


class _Codes(dict[Any, int]):
    """Gives distinct tool calls the codes 1, 2, ..., in the order of their first use."""

    def __init__(self) -> None:
        super().__init__()
        self._failed = [False]
        self._read = np.zeros(1, np.bool_)

    def __missing__(self, key: Any) -> int:
        code = self[key] = len(self) + 1
        self._failed.append(is_failure(key[_OK], key[_ERROR]))
        return code

    @property
    def failed(self) -> Bools:
        """By code, whether it is of tool calls that failed."""
        if len(self._read) < len(self._failed):
            self._read = np.append(self._read, self._failed[len(self._read) :])
        return self._read


class PathsRead(NamedTuple):
    """Of each call a number for its tool calls, 0 where it has none or too many; and whether one of them failed."""

    path: I64
    failed: Bools


class ToolCodes:
    """Codes of tool calls.

    Attributes:
        token: stands for the codes; paths of one token are equal where the tool calls are, in `CODED_OF_TOOLS`.
    """

    def __init__(self) -> None:
        self._codes = _Codes()
        self.token = secrets.randbits(63)

    def renew(self) -> None:
        """Forget the codes if there are many, under a new token; between batches."""
        if len(self._codes) > MOST_CODES // 2:
            self._codes, self.token = _Codes(), secrets.randbits(63)

    def read(self, lists: ToolLists) -> PathsRead:
        """The numbers of some calls. Some .2 us per tool call."""
        if lists.counts.max(initial=0) <= MOST_IN_PATH:
            return self._read(lists)
        short, long = lists.apart(MOST_IN_PATH)
        path, has_failed = self._read(short)
        return PathsRead(path, has_failed | failed(long))

    def _read(self, lists: ToolLists) -> PathsRead:
        codes = np.fromiter(map(self._codes.__getitem__, map(_of_tool, lists.tools)), np.int64, len(lists.tools))
        path, has_failed = _packed(codes, lists.counts), np.zeros(len(lists.counts), np.bool_)
        broken = self._codes.failed[codes]
        if broken.any():
            has_failed[lists.owners()[broken]] = True
        if len(self._codes) > MOST_CODES:
            path[lists.owners()[codes > MOST_CODES]] = 0
        return PathsRead(path, has_failed)


def _packed(codes: I64, count: I64) -> I64:
    """The codes of each call as one number."""
    first = np.cumsum(count) - count
    packed = np.zeros(len(count), np.int64)
    for place in range(int(count.max(initial=0))):
        (rows,) = (count > place).nonzero()
        packed[rows] = packed[rows] << _BITS | codes[first[rows] + place]
    return packed
