"""An HTTP endpoint on loopback that keeps the lines it is sent, and answers as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Endpoint:
    """`answers` are given first, as (status, headers); then all is 204. `waits` is called before an answer."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.refuses: Callable[[dict[str, Any]], bool] = lambda _: False
        self.waits: Callable[[], object] = lambda: None
        self.raw: bytes | None = None
        self.lines: list[dict[str, Any]] = []
        self.requests: list[dict[str, str]] = []
        self.connections = 0
        self.url = ""

    def arrived(self, kind: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line.get("type", "call") == kind.removesuffix("s")]

    def answer(self, lines: list[dict[str, Any]]) -> tuple[int, dict[str, str]]:
        if self.answers:
            status, headers = self.answers.pop(0)
        else:
            status, headers = (422, {}) if any(map(self.refuses, lines)) else (204, {})
        if 200 <= status < 300:
            self.lines += lines
        return status, headers


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """One of its own for each test."""
    state = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            state.connections += 1

        def do_POST(self) -> None:  # by its name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append({**dict(self.headers), "path": self.path})
            state.waits()
            if state.raw is not None:
                self.wfile.write(state.raw)
                self.close_connection = True
                return
            status, headers = state.answer([json.loads(line) for line in body.splitlines()])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{server.server_address[1]}/events"
        yield state
        server.shutdown()
        thread.join()
