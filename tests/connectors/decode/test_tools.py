"""What tool calls carry: items, documents and times, in both tiers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from aftercall.events import MAX_DOCUMENTS
from connectors.decode.decoder import CALL
from connectors.decode.redaction import RedactingDecoder
from connectors.decode.structs import ToolCallRecord
from harness.decoding import CALL_BASE, NOW, SKEW, decode

DOCUMENT = {"id": "d1", "version": "7", "data_at": "2026-02-01T00:00:00Z"}
TOOL = {"name": "search", "ok": True, "partial": True, "empty": False, "items": 2, "data_at": "2026-02-28T00:00:00Z"}


def line(**changes: Any) -> bytes:
    return json.dumps({**CALL_BASE, **changes}).encode()


def tools(*given: Any) -> list[ToolCallRecord]:
    batch = decode([line(tool_calls=list(given))], [CALL])
    assert batch.refused == []
    return list(batch.calls.records[0].tool_calls)


def test_all_that_a_tool_call_carries_stays_as_it_was_sent() -> None:
    for more in ({}, {"unknown": 1}):  # by the fast tier and by pydantic
        (found,) = tools({**TOOL, "documents": [DOCUMENT, {"id": "d2"}], **more})
        assert {name: getattr(found, name) for name in TOOL} == TOOL
        assert [(one.id, one.version, one.data_at) for one in found.documents or ()] == [
            tuple(DOCUMENT.values()),
            ("d2", None, None),
        ]


@pytest.mark.parametrize("given", [["a", "b", "c"], [1, {"b": [2]}, None], 3, 3.0])
def test_of_items_only_their_number_stays(given: Any) -> None:
    (found,) = tools({"items": given})
    assert (found.items, type(found.items)) == (3, int)
    assert tools({"items": ["x" * 1_000] * 500})[0].items == 500


@pytest.mark.parametrize("items", [None, 7])
def test_documents_beyond_the_most_are_cut_with_a_count_and_the_call_stays(items: int | None) -> None:
    documents = [{"id": f"d{i}"} for i in range(MAX_DOCUMENTS + 8)]
    made = [
        line(tool_calls=[{"documents": documents, "items": items}, {"documents": documents[:MAX_DOCUMENTS]}]),
        line(tool_calls=[{"documents": documents[: MAX_DOCUMENTS + 1]}], occurred_at="2026-03-02T12:00:00Z"),
        line(tool_calls=[{"documents": documents}], occurred_at="2027-01-01T00:00:00Z"),
    ]
    batch = decode(made, [CALL] * 3)
    assert [item.reason for item in batch.refused] == ["future"]
    first, whole = batch.calls.records[0].tool_calls
    assert [one.id for one in first.documents] == [one["id"] for one in documents[:MAX_DOCUMENTS]]
    assert first.items == (MAX_DOCUMENTS + 8 if items is None else items)
    assert (len(whole.documents), whole.items) == (MAX_DOCUMENTS, None)
    (warned,) = batch.warnings
    assert (warned.kind, warned.subject, warned.times) == ("cut_documents", "calls", 9)
    assert warned.first < warned.last


def test_a_wrong_time_or_document_of_a_tool_refuses_the_call_and_says_where() -> None:
    wrong = [
        {"data_at": "yesterday"},
        {"data_at": "1999-01-01T00:00:00Z"},
        {"documents": [{"id": "d"}, {"id": "d", "data_at": "2026-03-01"}]},
        {"documents": [{"version": "7"}]},
        {"documents": [{"id": "x" * 257}]},
        {"items": -1},
        {"empty": "yes"},
    ]
    batch = decode([line(tool_calls=[{"name": "fine"}, one]) for one in wrong], [CALL] * len(wrong))
    assert [(item.reason, item.detail.split()[1]) for item in batch.refused] == [
        ("bad_time", "'tool_calls.1.data_at'"),
        ("before_2000", "'tool_calls.1.data_at'"),
        ("bad_time", "'tool_calls.1.documents.1.data_at'"),
        ("missing_field", "'tool_calls.1.documents.0.id'"),
        ("too_long", "'tool_calls.1.documents.0.id'"),
        ("negative", "'tool_calls.1.items'"),
        ("wrong_type", "'tool_calls.1.empty'"),
    ]


def test_errors_of_tools_are_redacted_and_names_and_documents_are_not() -> None:
    redacting = RedactingDecoder(["secret"], now_us=NOW, max_future_skew_us=SKEW)
    raw = line(tool_calls=[{"name": "secret-tool", "error": "a secret"}, {"documents": [{"id": "secret"}]}])
    batch = redacting.decode([raw], np.array([CALL], np.uint8), np.zeros(1, np.int32), np.zeros(1, np.int64))
    first, second = batch.calls.records[0].tool_calls
    assert (first.name, first.error, second.documents[0].id) == ("secret-tool", "a [redacted]", "secret")
