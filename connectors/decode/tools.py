"""Checks the times that tool calls carry: those of what a tool answered from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, Final

import numpy as np

from connectors.batch import Bools
from connectors.decode.structs import ToolCallRecord
from connectors.decode.times import parse_times
from connectors.decode.tool_lists import ToolLists

_data_at: Final = attrgetter("data_at")
_documents: Final = attrgetter("documents")


def times_are_sure(lists: ToolLists) -> Bools:
    """Of each call, whether all times in its tool calls can be accepted; else pydantic decides.

    Some 0.05 us per tool call; where they carry times, 0.1.
    """
    sure = np.ones(len(lists.counts), np.bool_)
    if _all_lack(_data_at, lists.tools) and _all_lack(_documents, lists.tools):
        return sure
    rows, texts = [], []
    for row, tool in zip(lists.owners().tolist(), lists.tools, strict=True):
        for text in _times(tool):
            rows.append(row)
            texts.append(text)
    if texts:
        _, good = parse_times(texts)
        sure[np.array(rows)[~good]] = False
    return sure


def _all_lack(field: Callable[[ToolCallRecord], Any], tools: list[ToolCallRecord]) -> bool:
    return list(map(field, tools)).count(None) == len(tools)


def _times(tool: ToolCallRecord) -> Iterator[str]:
    if tool.data_at is not None:
        yield tool.data_at
    if tool.documents:
        yield from (document.data_at for document in tool.documents if document.data_at is not None)
