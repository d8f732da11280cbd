"""Serves `/metrics`, `/healthz` and `/readyz` of a running pipeline over HTTP, in its own thread."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, Final

from aftercall.errors import UserError
from connectors.background import ONLY_LOGGED, OnDefect, background
from connectors.metrics import METRICS, Metrics
from connectors.pauses import PAUSES
from flows.service.health import Health
from flows.settings.sections import Service

_LOG: Final = logging.getLogger("aftercall.health")
PATHS: Final = ("/metrics", "/healthz", "/readyz")


class ServiceError(UserError):
    """The server cannot listen; one sentence with the address and the reason."""


class _Http(ThreadingHTTPServer):
    """Answers from `health`."""

    health: Health
    has_defect = False

    def server_bind(self) -> None:
        """Bind, without HTTPServer's look-up of the host's name: it takes seconds if the resolver does not answer."""
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log nothing where a client has gone away; a defect once, as probes come every few seconds."""
        del request, client_address
        if isinstance(sys.exc_info()[1], OSError):
            _LOG.debug("a probe went away before it was answered", exc_info=True)
        elif not self.has_defect:
            self.has_defect = True
            _LOG.exception("a probe could not be answered, by a defect of aftercall; its traceback follows")


class Server:
    """Answers until it is closed."""

    def __init__(self, http: _Http, on_defect: OnDefect) -> None:
        self._http = http
        self._thread = background("aftercall-health", partial(http.serve_forever, 0.1), on_defect)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._http.server_address[1])

    def answer_from(self, health: Health) -> None:
        """Answer from another `Health` from now on."""
        self._http.health = health

    def close(self) -> None:
        """Stop listening. Takes up to 0.1 s."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def listen(
    service: Service, process: int, health: Health, on_defect: OnDefect, listening: Server | None = None
) -> Server | None:
    """Start the server of process `process` on `service.port` + `process`; None if `service.port` is 0.

    Args:
        service: host and port.
        process: its number.
        health: what is answered.
        on_defect: called where a defect has ended the server; one that ends an answer is logged, and answered by 500.
        listening: a server of this process that goes on, and answers from `health` from now on.

    Raises:
        ServiceError: the server cannot listen on the address.
    """
    METRICS.process(process)
    PAUSES.process(process)
    METRICS.health(lambda: not health.not_ready(), health.heartbeat.age_s)
    if listening is not None:
        listening.answer_from(health)
        return listening
    return serve(health, service.host, service.port + process, on_defect=on_defect) if service.port else None


def serve(
    health: Health, host: str, port: int, metrics: Metrics = METRICS, *, on_defect: OnDefect = ONLY_LOGGED
) -> Server:
    """Serve on exactly this port (0: any free one).

    Raises:
        ServiceError: the server cannot listen on the address.
    """
    remedy = "set service.host and service.port, or service.port = 0 for no server"
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        http = _http(family)((host, port), _handler(metrics))
        http.health = health
        return Server(http, on_defect)
    except (OSError, OverflowError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0
        why = os.strerror(number) if number > 0 else str(error)  # a name that cannot be resolved has a negative number
    raise ServiceError(f"service: {host}:{port} must be free to listen on; {why} ({remedy})")


def _http(family: int) -> type[_Http]:
    class Http(_Http):
        address_family = family

    return Http


def _handler(metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server: _Http
        server_version, sys_version = "aftercall", ""
        timeout = 5  # a client that sends nothing occupies a thread

        def do_GET(self) -> None:
            try:
                self._answer_path()
            except OSError:
                raise
            except Exception:
                self._json(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": "a defect of aftercall; the log has it"})
                raise

        def _answer_path(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(HTTPStatus.OK, *metrics.exposition(self.headers.get("Accept", "")))
            elif path == "/healthz":
                self._judge("ok", "stuck", self.server.health.not_alive())
            elif path == "/readyz":
                self._judge("ready", "not ready", self.server.health.not_ready())
            else:
                self._json(HTTPStatus.NOT_FOUND, {"error": f"must be one of {', '.join(PATHS)}"})

        do_HEAD = do_GET  # noqa: N815 - the same

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the same
            """Log nothing: probes come every few seconds."""

        def _judge(self, good: str, bad: str, reasons: list[str]) -> None:
            status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
            beat_s = round(self.server.health.heartbeat.age_s(), 3)
            document = {"status": bad if reasons else good, "reasons": reasons, "heartbeat_age_s": beat_s}
            self._json(status, document)

        def _json(self, status: HTTPStatus, document: dict[str, Any]) -> None:
            self._answer(status, json.dumps(document).encode() + b"\n", "application/json")

        def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler
