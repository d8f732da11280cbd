"""Messages about tools are broken, all others handed on byte by byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftercall.evals.faults.injection import Injections
from aftercall.evals.faults.uses import SeenUse
from connectors.agents.mcp_messages import ToolMessages


class Between:
    """An agent and a server that answers with one result."""

    def __init__(self, inject: str) -> None:
        self.seen: list[SeenUse] = []
        self.messages = ToolMessages(Injections.parse(inject, 1), self.seen.append)

    def call(self, tool: str, result: dict[str, Any], number: int = 1, **meta: str) -> dict[str, Any]:
        params = {"name": tool, "arguments": {}, "_meta": meta}
        asked = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
        forward, answer, _ = self.messages.from_agent(json.dumps(asked).encode() + b"\n")
        if answer is None:
            assert forward is not None
            answer = self.messages.from_server(
                json.dumps({"jsonrpc": "2.0", "id": number, "result": result}).encode() + b"\n"
            )
        found: dict[str, Any] = json.loads(answer)
        assert found["id"] == number
        return found


OFFERS = {"content": [{"type": "text", "text": '["a", "b"]'}], "structuredContent": {"result": ["a", "b"]}}


def test_a_timeout_and_an_error_never_reach_the_server() -> None:
    between = Between("timeout:search,error:crm")
    assert between.call("search", OFFERS)["error"]["code"] == -32001
    assert between.call("crm", OFFERS)["result"]["isError"] is True
    assert [(use.fault, use.ok) for use in between.seen] == [("timeout", False), ("error", False)]


def test_texts_and_structure_are_broken_alike() -> None:
    found = Between("empty:search").call("search", OFFERS)["result"]
    assert found == {"content": [{"type": "text", "text": "[]"}], "structuredContent": {"result": []}}


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        ("empty", []),
        ("partial", ["a", "b"]),
        ("contradict", ["a", "b", "c", "2026-11-30"]),
        ("stale", ["a", "b", "c", "2025-10-26"]),
    ],
)
def test_a_list_that_comes_as_several_texts_is_broken_as_a_list(kind: str, texts: list[str]) -> None:
    listed = [{"type": "text", "text": text} for text in ("a", "b", "c", "2026-11-30")]
    picture = {"type": "image", "data": "", "mimeType": "image/png"}
    found = Between(f"{kind}:search").call("search", {"content": [*listed, picture]})["result"]["content"]
    assert [part["text"] for part in found[:-1]][:4] == texts
    assert found[-1] == picture


def test_a_slow_tool_is_asked_later() -> None:
    between = Between("slow:search=2s")
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search"}}
    assert between.messages.from_agent(json.dumps(asked).encode())[2] == 2.0


def test_a_result_that_is_an_error_already_is_not_broken() -> None:
    between = Between("empty:search")
    failed = {"content": [{"type": "text", "text": "no"}], "isError": True}
    assert between.call("search", failed)["result"] == failed
    assert (between.seen[0].applied, between.seen[0].ok) == (False, False)


def test_a_case_is_read_from_the_call_and_its_numbers_are_its_own() -> None:
    between = Between("empty:search")
    between.call("search", OFFERS, baggage="aftercall-case=a%20b")
    between.call("search", OFFERS, 2, **{"aftercall-case": "c2"})
    between.call("search", OFFERS, 3, **{"aftercall-case": "c2"})
    assert [(use.case, use.number) for use in between.seen] == [("a b", 1), ("c2", 1), ("c2", 2)]


def test_tools_that_may_be_broken_promise_no_form_of_their_results() -> None:
    """A client would take a broken result for an error of its server."""
    between = Between("empty:search")
    between.messages.from_agent(b'{"jsonrpc": "2.0", "id": "x", "method": "tools/list"}\n')
    tools = [{"name": "search", "outputSchema": {}}, {"name": "crm", "outputSchema": {}}]
    line = json.dumps({"jsonrpc": "2.0", "id": "x", "result": {"tools": tools}}).encode()
    found = json.loads(between.messages.from_server(line))["result"]["tools"]
    assert found == [{"name": "search"}, tools[1]]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"no json\n",
        b"\xff\xfe\n",
        b"[" * 3000 + b"\n",
        b'[{"id": 1, "method": "tools/call"}]\n',
        b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}\n',
        b'{"jsonrpc": "2.0", "id": 5, "method": "resources/read", "params": {}}\n',
    ],
)
def test_all_other_lines_pass_byte_by_byte(line: bytes) -> None:
    messages = Between("error:*").messages
    assert messages.from_agent(line) == (line, None, 0.0)
    assert messages.from_server(line) == line


@given(
    st.binary(max_size=80)
    | st.dictionaries(
        st.sampled_from(["id", "method", "params", "result"]),
        st.none() | st.integers() | st.sampled_from(["tools/call", "tools/list"]) | st.lists(st.integers()),
    ).map(lambda given: json.dumps(given).encode())
)
def test_no_line_ends_the_proxy(line: bytes) -> None:
    messages = Between("error:*=0.5,empty:x").messages
    messages.from_agent(line)
    assert isinstance(messages.from_server(line), bytes)
