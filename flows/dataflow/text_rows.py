"""Turns the results of the join into texts to keep, and into calls whose texts are wanted since they failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from connectors.decode.structs import ToolCallRecord
from connectors.texts.call_text import CallText
from flows.dataflow.snapshot_messages import SNAPSHOT_KEY, FailedCalls, SnapshotMessage, TextRows
from flows.settings import Settings
from models.join import FAILURE, Joined

_FAILURE: Final = "failure"
_TOOL: Final = ToolCallRecord.__struct_fields__


def text_history(settings: Settings) -> Callable[[Joined], Iterator[tuple[str, SnapshotMessage]]] | None:
    """Builds the function that finds texts, and with `failed` the calls that failed; None where none are kept."""
    if settings.texts.keep == "none":
        return None
    only_failed = settings.texts.keep == "failed"

    def history(joined: Joined) -> Iterator[tuple[str, SnapshotMessage]]:
        if texts := texts_of(joined):
            yield SNAPSHOT_KEY, TextRows(texts)
        if only_failed and (failed := failed_calls(joined)):
            yield SNAPSHOT_KEY, FailedCalls(failed)

    return history


def texts_of(joined: Joined) -> list[CallText]:
    """The texts of accepted calls that have any; the decoder has redacted and cut them."""
    return [
        CallText(call.call_id, at, call.input, call.output, _tools(call.tool_calls))
        for call, at in zip(joined.accepted, joined.accepted_at.tolist(), strict=True)
        if call.input is not None or call.output is not None or _has_results(call.tool_calls)
    ]


def failed_calls(joined: Joined) -> list[tuple[str, int]]:
    """Id and time of the calls whose verdict is `failure` now, whatever it was before."""
    first, expired = joined.first, joined.expired
    rows = (first.success == FAILURE).nonzero()[0].tolist()
    failed = [(first.records[i].call_id, int(first.call_at[i])) for i in rows]
    rows = (expired.success == FAILURE).nonzero()[0].tolist()
    failed += [(expired.call_id[i], int(expired.call_at[i])) for i in rows]
    return failed + [(j.call_id, j.call_at) for j in joined.judgements if j.verdict == _FAILURE]


def _has_results(tools: Any) -> bool:
    """Whether tool calls have texts: those of calls that are not sampled are gone, their names are not."""
    return isinstance(tools, list) and any(tool.input is not None or tool.output is not None for tool in tools)


def _tools(tools: Any) -> str | None:
    """The tool calls as a JSON list without absent members; None without any, or where only their number is known."""
    if not isinstance(tools, list) or not tools:
        return None
    given = [{name: value for name in _TOOL if (value := getattr(tool, name)) is not None} for tool in tools]
    return msgspec.json.encode(given).decode()
