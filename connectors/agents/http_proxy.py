"""Stands between an agent and its tools over HTTP, and breaks what comes back: `aftercall eval proxy`.

It hands requests on to one upstream, whatever host they name. A request is in a case by the header `baggage`, which
tracing libraries pass on, or by `X-Aftercall-Case`; without either all requests are of one case without a name.
"""

from __future__ import annotations

import http.client
import json
import select
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from aftercall.errors import UsageError
from aftercall.evals.faults.injection import Injections
from aftercall.evals.faults.numbers import ToolNumbers, run_and_case_of
from aftercall.evals.faults.uses import SeenUse
from connectors.agents.http_faults import ERROR_BODY, MAX_BROKEN_BODY, Reply, ToolNames, broken_reply, is_breakable

MAX_REQUEST: Final = 64 << 20
HOLD_S: Final = 30.0
UPSTREAM_S: Final = 600.0
_HOP_BY_HOP: Final = frozenset({
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "proxy-connection", "content-length",
})  # fmt: skip
_OURS: Final = frozenset({"host", "accept-encoding"})


class Upstream(NamedTuple):
    """Where the tools are."""

    scheme: str
    host: str
    port: int | None
    path: str
    """What stands before the path of each request; without a slash at its end."""

    @classmethod
    def parse(cls, url: str, place: str = "--upstream") -> Upstream:
        """Read a URL of http or https.

        Raises:
            UsageError: it is none.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.username
        ):
            raise UsageError(
                f"{place}: must be a URL of http or https without query and user; got {url[:80]!r}"
                " (write it like http://localhost:8000/tools)"
            )
        return cls(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))

    def connection(self) -> http.client.HTTPConnection:
        """A new connection, not open yet."""
        if self.scheme == "http":
            return http.client.HTTPConnection(self.host, self.port, timeout=UPSTREAM_S)
        return http.client.HTTPSConnection(
            self.host, self.port, timeout=UPSTREAM_S, context=ssl.create_default_context()
        )

    @property
    def origin(self) -> str:
        """Scheme, host and port, as redirects name them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{'' if self.port is None else f':{self.port}'}"


class FaultProxy(ThreadingHTTPServer):
    """The proxy; a thread per connection. `serve_forever` runs it, `shutdown` and `server_close` end it."""

    daemon_threads = True

    def __init__(
        self,
        upstream: Upstream,
        injections: Injections,
        log: Callable[[SeenUse], None],
        address: tuple[str, int] = ("127.0.0.1", 0),
        hold_s: float = HOLD_S,
    ) -> None:
        """Listen, on a free port with port 0.

        Args:
            upstream: where requests go.
            injections: what is broken.
            log: is given each request that has ended, on its thread.
            address: where to listen; anyone who reaches it reaches the tools.
            hold_s: how long a tool that timed out leaves the agent without an answer, before the connection is closed.

        Raises:
            OSError: the address is taken, or is none of this machine.
        """
        self.upstream, self.log, self.hold_s = upstream, log, hold_s
        self.numbers, self.names = ToolNumbers(injections), ToolNames(injections)
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        """Where agents find the tools."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def server_bind(self) -> None:
        """Bind without the look-up of a host name, which takes seconds where there is no DNS."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that an agent breaks off."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultProxy

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing: paths may hold what is private."""

    def _serve(self) -> None:
        run, case = run_and_case_of(dict(self.headers.items()))
        tool = self.server.names.of(self.path)
        number, entry = self.server.numbers.begin(run, case, tool)
        kind, name = (None, None) if entry is None else (entry.kind, entry.name)
        self._use = SeenUse(case, tool, number, kind, name)
        self._began = time.perf_counter()
        try:
            if entry is not None and entry.seconds:
                time.sleep(entry.seconds)
            self._answer(kind)
        except (OSError, http.client.HTTPException):  # the agent is gone, or the upstream broke off
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _serve  # noqa: N815 - the library's names

    def _seen(self, *, applied: bool, status: int = 0) -> None:
        """Log the request: before the agent gets its answer, which may be the last that its case waits for."""
        took_ms = round((time.perf_counter() - self._began) * 1000, 3)
        error = "timeout" if self._use.fault == "timeout" and applied else f"HTTP {status}" if status >= 400 else None
        self.server.log(replace(self._use, applied=applied, ok=error is None, error=error, latency_ms=took_ms))

    def _answer(self, kind: str | None) -> None:
        try:
            body = self._body()
        except ValueError as wrong:
            self.close_connection = True
            self._reply(Reply(400, (("Content-Type", "text/plain"),), f"aftercall eval proxy: {wrong}".encode()))
            return
        if kind == "timeout":
            self._seen(applied=True)
            self._hold()
        elif kind == "error":
            self._reply(Reply(500, (("Content-Type", "application/json"),), ERROR_BODY), applied=True)
        else:
            self._forward(kind, body)

    def _forward(self, kind: str | None, body: bytes) -> None:
        connection = self.server.upstream.connection()
        try:
            try:
                connection.request(self.command, self._target(), body or None, self._headers())
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as failure:
                self._reply(_bad_gateway(type(failure).__name__))
                return
            headers = tuple(self._handed_back(response))
            if kind in {None, "slow"} or self.command == "HEAD" or not is_breakable(response.status, headers):
                self._stream(response, headers, applied=kind == "slow")
                return
            whole = response.read(MAX_BROKEN_BODY + 1)
            if len(whole) > MAX_BROKEN_BODY:
                self._stream(response, headers, whole)
                return
            reply = Reply(response.status, headers, whole)
            changed = broken_reply(str(kind), reply)
            self._reply(changed, applied=changed.body != reply.body)
        finally:
            connection.close()

    def _target(self) -> str:
        """The path and query at the upstream, also where the request names another host."""
        parts = urlsplit(self.path)
        path = parts.path if parts.path.startswith("/") else f"/{parts.path}"
        return f"{self.server.upstream.path}{path}{f'?{parts.query}' if parts.query else ''}"

    def _headers(self) -> dict[str, str]:
        sent = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP | _OURS}
        return {**sent, "Accept-Encoding": "identity"}

    def _handed_back(self, response: http.client.HTTPResponse) -> Iterator[tuple[str, str]]:
        origin = self.server.upstream.origin
        for name, value in response.getheaders():
            if name.lower() == "location" and value.startswith(f"{origin}{self.server.upstream.path}/"):
                yield name, self.server.url + value.removeprefix(origin).removeprefix(self.server.upstream.path)
            elif name.lower() not in _HOP_BY_HOP:
                yield name, value

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(self._chunks())
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_REQUEST:
            raise ValueError(f"the request must have a length of at most {MAX_REQUEST:,} bytes")
        return self.rfile.read(length)

    def _chunks(self) -> Iterator[bytes]:
        left = MAX_REQUEST
        while True:
            try:
                size = int(self.rfile.readline(100).partition(b";")[0], 16)
            except ValueError:
                size = -1
            if not 0 <= size <= left:
                raise ValueError(f"each chunk must have a length, together at most {MAX_REQUEST:,} bytes")
            if not size:
                while self.rfile.readline(65_536).strip():
                    pass
                return
            left -= size
            yield self.rfile.read(size)
            self.rfile.readline(100)

    def _hold(self) -> None:
        """Leave the agent without an answer until it gives up."""
        self.close_connection = True
        ends = time.monotonic() + self.server.hold_s
        while (left := ends - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], min(left, 1.0))
            if readable:
                return

    def _reply(self, reply: Reply, *, applied: bool = False) -> None:
        self._seen(applied=applied, status=reply.status)
        self.send_response_only(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        if reply.status >= 200 and reply.status not in {204, 304}:
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _stream(
        self,
        response: http.client.HTTPResponse,
        headers: tuple[tuple[str, str], ...],
        begun: bytes = b"",
        *,
        applied: bool = False,
    ) -> None:
        """Hand a response on as it comes; its end is that of the connection where it has no length."""
        self._seen(applied=applied, status=response.status)
        self.send_response_only(response.status)
        for name, value in headers:
            self.send_header(name, value)
        length = response.getheader("Content-Length")
        if length is not None:
            self.send_header("Content-Length", length)
        elif response.status not in {204, 304}:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command == "HEAD":
            return
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(begun)
            while piece := response.read1(65_536):
                self.wfile.write(piece)
                self.wfile.flush()


def _bad_gateway(why: str) -> Reply:
    sentence = {"error": f"aftercall eval proxy: the upstream does not answer ({why})"}
    return Reply(502, (("Content-Type", "application/json"),), json.dumps(sentence).encode())
