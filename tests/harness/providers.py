"""Providers of models on this machine: what OpenAI, Anthropic and Google answer, whole and as streams.

The bodies are those of openai 3.57, anthropic 2.14 and google-genai 3.6, whose clients read them in
`tests/sdk/capture/test_foreign.py`. Only the standard library is needed: foreign environments have no more of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

Event = tuple[str | None, Any]
"""The name of an event of a stream, and its data."""

CHAT: Final[dict[str, Any]] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 3},
    },
}
RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5-2026",
    "status": "completed",
    "output": [
        {
            "type": "message",
            "id": "m",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "hello", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 6,
        "output_tokens": 3,
        "total_tokens": 9,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
MESSAGE: Final[dict[str, Any]] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-2026",
    "content": [{"type": "text", "text": "hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "output_tokens": 4,
        "cache_read_input_tokens": 90,
        "cache_creation_input_tokens": 5,
    },
}
CONTENT: Final[dict[str, Any]] = {
    "candidates": [{"content": {"parts": [{"text": "hello"}], "role": "model"}, "finishReason": "STOP"}],
    "modelVersion": "gemini-x-001",
    "responseId": "g1",
    "usageMetadata": {
        "promptTokenCount": 11,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 34,
    },
}


def chat_stream() -> list[Event]:
    """Of chat completions, with `stream_options.include_usage`."""
    chunk = {"id": "chatcmpl-2", "object": "chat.completion.chunk", "created": 1, "model": CHAT["model"]}
    words = [
        {**chunk, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}], "usage": None}
        for word in ("hel", "lo")
    ]
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    return [*((None, word) for word in words), (None, {**chunk, "choices": [], "usage": usage}), (None, "[DONE]")]


def response_stream() -> list[Event]:
    """Of responses: usage is in the last event."""
    begun = {**RESPONSE, "id": "resp_2", "status": "in_progress", "output": [], "usage": None}
    delta = {"item_id": "m", "output_index": 0, "content_index": 0, "delta": "hello", "logprobs": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_text.delta", **delta},
        {"type": "response.completed", "response": {**RESPONSE, "id": "resp_2"}},
    ]
    return [(event["type"], {**event, "sequence_number": number}) for number, event in enumerate(events)]


def message_stream() -> list[Event]:
    """Of messages: tokens in come with the first event, tokens out with one of the last."""
    usage = {**MESSAGE["usage"], "output_tokens": 1}
    begun = {**MESSAGE, "id": "msg_2", "content": [], "stop_reason": None, "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 42},
        },
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def content_stream() -> list[Event]:
    """Of contents: usage is in every event, and grows."""
    first = {**CONTENT, "responseId": "g2", "usageMetadata": {"promptTokenCount": 11, "totalTokenCount": 11}}
    return [(None, first), (None, {**CONTENT, "responseId": "g2"})]


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        answers = {
            "chat": (CHAT, chat_stream),
            "responses": (RESPONSE, response_stream),
            "messages": (MESSAGE, message_stream),
            "": (CONTENT, content_stream),
        }
        whole, stream = next(answer for name, answer in answers.items() if name in self.path)
        streams = asked.get("stream") or "streamGenerate" in self.path
        body = _events(stream()) if streams else json.dumps(whole)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streams else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None: ...


def _events(events: list[Event]) -> str:
    lines = (
        (f"event: {name}\n" if name else "", data if isinstance(data, str) else json.dumps(data))
        for name, data in events
    )
    return "".join(f"{name}data: {data}\n\n" for name, data in lines)


@contextmanager
def provider() -> Iterator[str]:
    """A server that answers as all of them; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
