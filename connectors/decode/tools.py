"""Checks the times that tool calls carry: those of what a tool answered from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from connectors.batch import Bools
from connectors.decode.structs import ToolCallRecord
from connectors.decode.times import parse_times


def times_are_sure(column: Sequence[Any]) -> Bools:
    """Of each call's `tool_calls`, whether all times in them can be accepted; else pydantic decides.

    Args:
        column: per call None, a number, or a list of `ToolCallRecord`. About 0.1 us per tool call.
    """
    sure = np.ones(len(column), np.bool_)
    rows, texts = [], []
    for row, tools in enumerate(column):
        if type(tools) is list:
            for text in _times(tools):
                rows.append(row)
                texts.append(text)
    if texts:
        _, good = parse_times(texts)
        sure[np.array(rows)[~good]] = False
    return sure


def _times(tools: list[ToolCallRecord]) -> Iterator[str]:
    for tool in tools:
        if tool.data_at is not None:
            yield tool.data_at
        if tool.documents:
            yield from (document.data_at for document in tool.documents if document.data_at is not None)
