"""Lets process 0 probe the other processes, so that one probe covers the whole pipeline."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Final

from flows.service.health import Check, Health
from flows.settings.sections import Service

_TIMEOUT_S: Final = 1.0
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not listened on
"""The address on which to probe a process that listens on all addresses."""


def watch_peers(health: Health, service: Service, processes: int) -> None:
    """Add processes 1 to `processes` - 1 as peers of process 0; does nothing if `service.port` is 0."""
    if not service.port:
        return
    host = _EVERYWHERE.get(service.host, service.host)
    for number in range(1, processes):
        port = service.port + number
        health.add_peer(f"process {number}", alive=_probe(host, port, "/healthz"), ready=_probe(host, port, "/readyz"))


def _probe(host: str, port: int, path: str) -> Check:
    def check() -> str | None:
        connection = HTTPConnection(host, port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException) as error:
            return f"{path} on port {port} does not answer ({type(error).__name__})"
        finally:
            connection.close()
        if answer.status == 200:
            return None
        try:
            return "; ".join(json.loads(text)["reasons"])
        except (ValueError, KeyError, TypeError):
            return f"{path} on port {port} answers {answer.status}"

    return check
