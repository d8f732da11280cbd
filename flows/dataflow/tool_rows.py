"""Turns the tool calls of calls into rows of the snapshot, and into counts of how each tool did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import orjson

from aftercall.times import HOUR_US, parse_time
from connectors.tool_errors import error_kind
from flows.dataflow.snapshot_messages import Row
from models.join import BITS, Joined
from models.rates import Tool, ToolUses

_tools = attrgetter("tool_calls")


class Used(NamedTuple):
    """A call that used tools, as its first record or one that completed it says. `at`: the time of the call, µs."""

    call_id: str
    at: int
    task_type: str
    tools: Sequence[Any]


def used_tools(joined: Joined) -> list[Used]:
    """The calls whose tool calls a batch brings; of a call at most one record brings them. Nothing without tools."""
    completed = joined.completed
    used = _used(joined.accepted, joined.accepted_at) if len(joined.accepted) else []
    (filled,) = (completed.new & np.uint32(BITS["tool_calls"])).nonzero()
    return used + _used(completed.records[filled], completed.call_at[filled]) if len(filled) else used


def tool_uses(used: Sequence[Used]) -> ToolUses:
    """How often each tool was used, failed and was tried again."""
    counts: dict[tuple[Tool, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for call in used:
        hour = call.at // HOUR_US
        for tool in call.tools:
            count = counts[(call.task_type, tool.name), hour]
            count[0] += 1
            count[1] += has_failed(tool)
            count[2] += max(0, (tool.attempts or 0) - 1)
    keys, sums = list(counts), list(counts.values())
    return ToolUses([tool for tool, _ in keys], [hour for _, hour in keys], *map(list, zip(*sums, strict=True)))


def tool_rows(used: Sequence[Used], keep: str, errors: str = "kind") -> list[Row]:
    """Rows of the log `tool_calls`; `keep` and `errors` are the settings `snapshot.tools` and `tool_errors`."""
    if keep == "none":
        return []
    return [
        _row(call, position, tool, errors)
        for call in used
        for position, tool in enumerate(call.tools, 1)
        if keep == "all" or _is_kept(tool)
    ]


def has_failed(tool: Any) -> bool:
    """Whether a tool failed: it says so, or has an error and does not say."""
    return tool.error is not None if tool.ok is None else not tool.ok


def _is_kept(tool: Any) -> bool:
    """Whether `snapshot.tools = "failed"` keeps a tool call: not all was well with it."""
    unwell = tool.stale or tool.partial or tool.empty or tool.error is not None
    return bool(unwell or has_failed(tool) or (tool.attempts or 0) > 1 or tool.items == 0)


def _row(call: Used, position: int, tool: Any, errors: str) -> Row:
    documents, error = tool.documents, tool.error
    return (
        call.call_id,
        call.at,
        position,
        tool.name,
        tool.ok,
        tool.attempts,
        tool.latency_ms,
        error if error is None or errors == "text" else error_kind(error),
        tool.stale,
        tool.partial,
        tool.empty,
        len(documents) if tool.items is None and documents is not None else tool.items,
        None if tool.data_at is None else parse_time(tool.data_at),
        None if documents is None else _json(documents),
    )


def _json(documents: Sequence[Any]) -> str:
    """The documents as JSON, without what they lack."""
    given = [
        {name: value for name in ("id", "version", "data_at") if (value := getattr(one, name)) is not None}
        for one in documents
    ]
    return orjson.dumps(given).decode()


def _used(records: Any, at: Any) -> list[Used]:
    tools = list(map(_tools, records))
    if tools.count(None) == len(tools):
        return []
    return [
        Used(call.call_id, when, call.task_type, given)
        for call, when, given in zip(records, at.tolist(), tools, strict=True)
        if type(given) is list and given
    ]
