"""Prints all that is kept of one call, in 80 columns."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from flows.reports.show import Story

_SHOWN: Final = ("name", "ok", "attempts", "latency_ms", "error", "stale", "input", "output")
_OK: Final[dict[Any, list[str]]] = {True: ["ok"], False: ["failed"]}


def render_story(story: Story, console: Console) -> None:
    """Print the call, its verdict, its ledger, its tools and its texts."""
    if not story.calls:
        console.print(Text(f"call {story.call_id}: no row of `calls` is kept"))
    for call in story.calls:
        (_attempt if call["attempt"] else _call)(call, console)
    _statements(story.statements, console)
    _tools(story.tools, console)
    for text in story.texts:
        if len(story.texts) > 1:
            console.print(Text(f"\ntexts of {_time(text['occurred_at'])}"))
        for name in ("input", "output"):
            if text[name] is not None:
                _block(f"\n{name}:", text[name], console)
    if story.missing is not None:
        console.print(Text(f"\ntexts: {story.missing}"))


def _call(call: dict[str, Any], console: Console) -> None:
    console.print(Text(f"call {call['call_id']} · {call['task_type']} · {call['model']}/{call['config']}"))
    facts = [
        _time(call["occurred_at"]),
        *_given("session {}", call["session_id"]),
        *_given("segment {}", call["segment"]),
        *_given("{:,.0f} ms", call["latency_ms"]),
        *_given("${:.6g}", call["cost_usd"]),
        *_given("{:,} tokens", call["tokens"]),
    ]
    _indented(" · ".join(facts), console)
    if call["error"] is not None:
        _indented(f"error: {call['error']}", console)
    if call["attrs"]:
        _indented(", ".join(f"{name} = {value}" for name, value in call["attrs"].items()), console)
    console.print(Text(f"verdict: {_verdict(call)}"))


def _attempt(row: dict[str, Any], console: Console) -> None:
    parts = [
        f"attempt {row['attempt']} failed",
        f"{row['model']}/{row['config']}",
        *_given("{:,.0f} ms", row["latency_ms"]),
        *_given("${:.6g}", row["cost_usd"]),
        *_given("{}", row["error"]),
    ]
    _indented(" · ".join(parts), console)


def _verdict(call: dict[str, Any]) -> str:
    parts = [call["verdict"]]
    parts += _given("by {}", call["verdict_source"])
    parts += _given("score {:g}", call["score"])
    if call["verdict_at"] is not None:
        parts.append(f"{_time(call['verdict_at'])}, {_span(call['verdict_at'] - call['occurred_at'])} after the call")
    if call["revisions"]:
        parts.append(f"revised {call['revisions']:,} times" if call["revisions"] > 1 else "revised once")
    return ", ".join(parts)


def _statements(statements: list[dict[str, Any]], console: Console) -> None:
    if not statements:
        return
    console.print(Text(f"\nstatements ({len(statements):,}), in the order of the ledger:"))
    for one in statements:
        what = "withdraws" if one["action"] == "retract" else _judged(one["success"])
        parts = [
            _time(one["occurred_at"]),
            one["source"] or "-",
            what,
            *_given("score {:g}", one["score"]),
            *_given("“{}”", one["reason"]),
            *([] if one["stands"] else ["does not stand"]),
        ]
        _indented(" · ".join(parts), console)


def _tools(tools: list[dict[str, Any]], console: Console) -> None:
    if not tools:
        return
    console.print(Text(f"\ntools ({len(tools):,}):"))
    for number, tool in enumerate(tools, 1):
        parts = [
            f"{number} {tool.get('name') or '-'}",
            *(_OK.get(tool.get("ok"), [])),
            *_given("{:,} attempts", tool.get("attempts")),
            *_given("{:,.0f} ms", tool.get("latency_ms")),
            *(["stale"] if tool.get("stale") else []),
            *_given("error: {}", tool.get("error")),
        ]
        more = [f"{name} {value}" for name, value in tool.items() if name not in _SHOWN and value is not None]
        _indented(" · ".join(parts + more), console)
        for name in ("input", "output"):
            if tool.get(name) is not None:
                _indented(f"{name}: {tool[name]}", console, 4)


def _block(title: str, text: str, console: Console) -> None:
    console.print(Text(title))
    _indented(text, console)


def _indented(text: str, console: Console, by: int = 2) -> None:
    console.print(Padding(Text(text), (0, 0, 0, by), expand=False))


def _given(words: str, value: Any) -> list[str]:
    return [] if value is None else [words.format(value)]


def _judged(success: bool | None) -> str:  # noqa: FBT001 - a value of the table
    return {True: "success", False: "failure"}.get(success, "no verdict")  # type: ignore[arg-type]


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _span(span: timedelta) -> str:
    hours = span / timedelta(hours=1)
    return f"{hours:,.1f} h" if abs(hours) >= 1 else f"{hours * 60:,.1f} min"
