"""Turns the results of the join into texts to keep, and into calls whose texts are wanted since they failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from connectors.decode.structs import ToolCallRecord
from connectors.texts.call_text import CallText
from flows.dataflow.snapshot_messages import SNAPSHOT_KEY, FailedCalls, SnapshotMessage, TextRows
from flows.settings import Settings
from models.join import BITS, FAILURE, Joined

_FAILURE: Final = "failure"
_GIVEN: Final = ("input", "output", "tool_calls")
_BITS: Final = sum(BITS[name] for name in _GIVEN)
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
    """The texts of accepted calls, and of records that complete them; the decoder has redacted and cut them."""
    first = [
        CallText(call.call_id, at, call.input, call.output, _tools(call.tool_calls))
        for call, at in zip(joined.accepted, joined.accepted_at.tolist(), strict=True)
        if call.input is not None or call.output is not None or _has_results(call.tool_calls)
    ]
    return first + _completing(joined)


def _completing(joined: Joined) -> list[CallText]:
    """Of records that complete a call the texts that it did not have: no two records of it give the same one."""
    completed, texts = joined.completed, []
    (rows,) = (completed.new & _BITS).nonzero()
    for i in rows.tolist():
        call, new = completed.records[i], completed.new.item(i)
        text, answer, tools = (getattr(call, name) if new & BITS[name] else None for name in _GIVEN)
        if text is not None or answer is not None or _has_results(tools):
            at = completed.call_at.item(i)
            texts.append(CallText(call.call_id, at, text, answer, _tools(tools), completes=True))
    return texts


def failed_calls(joined: Joined) -> list[tuple[str, int]]:
    """Id and time of the calls whose verdict is `failure` now, whatever it was before.

    Those of an `error` are among the judgements, whichever record of the call brings it. A failed attempt is no failure
    of its call.
    """
    first, expired = joined.first, joined.expired
    rows = (first.success == FAILURE).nonzero()[0].tolist()
    failed = [(first.records[i].call_id, int(first.call_at[i])) for i in rows]
    rows = (expired.success == FAILURE).nonzero()[0].tolist()
    failed += [(expired.call_id[i], int(expired.call_at[i])) for i in rows]
    for some in joined.judged:
        rows = (some.success == FAILURE).nonzero()[0].tolist()
        failed += [(some.call_ids[i], int(some.call_at[i])) for i in rows]
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
