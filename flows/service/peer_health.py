"""Process 0 asks the others how they are: one probe of its port then stands for the whole pipeline."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Final

from flows.service.health import Check, Health
from flows.settings.sections import Service

_TIMEOUT_S: Final = 1.0
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not listened on
"""Who listens on every address is asked on this one."""


def watch_peers(health: Health, service: Service, processes: int) -> None:
    """Let process 0 count the others of this machine as part of itself; nothing where nobody listens."""
    if not service.port:
        return
    host = _EVERYWHERE.get(service.host, service.host)
    for number in range(1, processes):
        port = service.port + number
        health.watches(f"process {number}", alive=_asks(host, port, "/healthz"), ready=_asks(host, port, "/readyz"))


def _asks(host: str, port: int, path: str) -> Check:
    def check() -> str | None:
        connection = HTTPConnection(host, port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException) as error:
            return f"{path} on port {port} cannot be asked ({type(error).__name__})"
        finally:
            connection.close()
        if answer.status == 200:
            return None
        try:
            return "; ".join(json.loads(text)["reasons"])
        except (ValueError, KeyError, TypeError):
            return f"{path} on port {port} answers {answer.status}"

    return check
