"""Breaks the messages of the Model Context Protocol that are about tools; all others are handed on as they are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Final

from aftercall.contracts.globs import Globs
from aftercall.evals.faults.broken import broken
from aftercall.evals.faults.injection import Injection, Injections
from aftercall.evals.faults.numbers import CASE_KEY, RUN_KEY, ToolNumbers, run_and_case
from aftercall.evals.faults.under import CASE
from aftercall.evals.faults.uses import SeenUse

TIMED_OUT: Final = -32001
"""The code with which MCP's own libraries report that a request timed out."""


@dataclass(frozen=True)
class _Asked:
    case: str
    tool: str
    number: int
    entry: Injection | None
    began: float


class ToolMessages:
    """What becomes of each line between an agent and a server. Two threads may share it, one per direction."""

    def __init__(self, injections: Injections, log: Callable[[SeenUse], None]) -> None:
        self._numbers = ToolNumbers(injections)
        self._broken_tools = Globs(entry.tool for entry in injections.entries)
        self._log = log
        self._calls: dict[str, _Asked] = {}
        self._lists: set[str] = set()

    def from_agent(self, line: bytes) -> tuple[bytes | None, bytes | None, float]:
        """What goes to the server, what is answered in its place, and how many seconds later it goes."""
        message = _object(line)
        if message is None or "id" not in message:
            return line, None, 0.0
        if message.get("method") == "tools/list":
            self._lists.add(_key(message))
        if message.get("method") != "tools/call":
            return line, None, 0.0
        asked = self._begun(message)
        kind = None if asked.entry is None else asked.entry.kind
        if kind in {"timeout", "error"}:
            self._ended(asked, applied=True, error=str(kind), items=None)
            return None, _encoded(_failure(message["id"], str(kind), asked.tool)), 0.0
        self._calls[_key(message)] = asked
        return line, None, 0.0 if asked.entry is None else asked.entry.seconds

    def from_server(self, line: bytes) -> bytes:
        """What goes to the agent."""
        message = _object(line)
        if message is None or "id" not in message or "method" in message:
            return line
        key = _key(message)
        if key in self._lists:
            self._lists.discard(key)
            return self._without_schemas(line, message)
        asked = self._calls.pop(key, None)
        return line if asked is None else self._answered(line, message, asked)

    def _begun(self, message: Mapping[str, Any]) -> _Asked:
        params = message.get("params")
        params = params if isinstance(params, Mapping) else {}
        tool = str(params.get("name"))
        run, case = _run_and_case(params.get("_meta"))
        number, entry = self._numbers.begin(run, case, tool)
        return _Asked(case, tool, number, entry, perf_counter())

    def _answered(self, line: bytes, message: dict[str, Any], asked: _Asked) -> bytes:
        result = message.get("result")
        kind = None if asked.entry is None else asked.entry.kind
        failed = not isinstance(result, dict) or result.get("isError") is True
        if not isinstance(result, dict) or failed or kind in {None, "slow"}:
            self._ended(asked, applied=kind == "slow", error="error" if failed else None, items=None)
            return line
        changed = broken_result(str(kind), result)
        self._ended(asked, applied=changed != result, error=None, items=0 if kind == "empty" else None)
        return line if changed == result else _encoded({**message, "result": changed})

    def _ended(self, asked: _Asked, *, applied: bool, error: str | None, items: int | None) -> None:
        took_ms = round((perf_counter() - asked.began) * 1000, 3)
        entry = asked.entry
        kind, name = (None, None) if entry is None else (entry.kind, entry.name)
        self._log(
            SeenUse(asked.case, asked.tool, asked.number, kind, name, applied, error is None, error, took_ms, items)
        )

    def _without_schemas(self, line: bytes, message: dict[str, Any]) -> bytes:
        """The list of tools; those that may be broken promise no form of their results, which agents would check."""
        result = message.get("result")
        tools = result.get("tools") if isinstance(result, dict) else None
        if not isinstance(tools, list):
            return line
        free = [
            {key: part for key, part in tool.items() if key != "outputSchema"}
            if isinstance(tool, dict) and self._broken_tools.match(str(tool.get("name")))
            else tool
            for tool in tools
        ]
        return line if free == tools else _encoded({**message, "result": {**message["result"], "tools": free}})


def broken_result(kind: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The result of a tool as a fault leaves it: its texts, and what it says in structure. Images and the like stay.

    >>> result = {"content": [{"type": "text", "text": "[1, 2]"}], "structuredContent": {"result": [1, 2]}}
    >>> broken_result("empty", result)
    {'content': [{'type': 'text', 'text': '[]'}], 'structuredContent': {'result': []}}
    """
    changed = dict(result)
    if isinstance(content := result.get("content"), list):
        changed["content"] = _broken_content(kind, content)
    if isinstance(structure := result.get("structuredContent"), Mapping):
        changed["structuredContent"] = broken(kind, structure)
    return changed


def _broken_content(kind: str, content: list[Any]) -> list[Any]:
    """One text is the result itself; several are the things of a list, as servers write one."""
    texts = [part["text"] for part in content if _is_text(part)]
    if not texts:
        return content
    changed = [broken(kind, texts[0])] if len(texts) == 1 else _broken_list(kind, texts)
    others = [part for part in content if not _is_text(part)]
    return [*({"type": "text", "text": text} for text in changed if text), *others]


def _broken_list(kind: str, texts: list[str]) -> list[str]:
    if kind == "contradict":
        return [*texts, *(broken(kind, text) for text in texts[:3])]
    return [broken(kind, text) for text in texts] if kind == "stale" else broken(kind, texts)


def _is_text(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _failure(message_id: Any, kind: str, tool: str) -> dict[str, Any]:
    if kind == "timeout":
        return {"jsonrpc": "2.0", "id": message_id, "error": {"code": TIMED_OUT, "message": "Request timed out"}}
    content = [{"type": "text", "text": f"Error executing tool {tool}: internal error"}]
    return {"jsonrpc": "2.0", "id": message_id, "result": {"content": content, "isError": True}}


def _run_and_case(meta: Any) -> tuple[str, str]:
    """Of `_meta`: its own keys, or `baggage`, which tracing libraries put there; else the process's environment."""
    given = meta if isinstance(meta, Mapping) else {}
    run, case = run_and_case(str(given.get("baggage", "")))
    return str(given.get(RUN_KEY, "")) or run, str(given.get(CASE_KEY, "")) or case or os.environ.get(CASE, "")


def _key(message: Mapping[str, Any]) -> str:
    """The id of a message; 1 and "1" are two."""
    return json.dumps(message["id"], sort_keys=True)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _encoded(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
