"""Posts events as lines of JSON (NDJSON) to any endpoint, with the standard library alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

from aftercall.transports.transport import Message, Receipt, UnavailableError

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

_MOST_BYTES: Final = 1 << 20
_MOST_READ: Final = 1 << 16
_REFUSED: Final = (400, 413, 422)


class HttpTransport:
    """One request at a time over a connection that is kept; each line of its body has a `type`, call or outcome.

    Any 2xx acknowledges all of its lines. 400, 413 and 422 refuse them: the request is sent again in halves, until the
    one event that is refused is alone. Anything else, or no answer within `timeout_s`, makes events wait; `Retry-After`
    is honoured. A user and password in the URL are sent as basic authentication.
    """

    at_once = False

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, *, timeout_s: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the URL of the HTTP transport must begin with http:// or https:// and a host")
        self._parts = parts
        self._headers = {"Content-Type": "application/x-ndjson", **_login(parts), **(headers or {})}
        self._timeout_s = timeout_s
        self._connection: HTTPConnection | None = None
        self._used = False
        self._most = 1 << 30
        self._receipts: list[Receipt] = []

    @property
    def destination(self) -> str:
        """The URL without user, password and query."""
        port = f":{self._parts.port}" if self._parts.port else ""
        return f"{self._parts.scheme}://{self._parts.hostname}{port}{self._parts.path}"

    def open(self) -> None:
        """Import what a request needs; it connects with the first one."""
        import email.utils  # noqa: F401
        import encodings.idna  # noqa: F401
        import http.client  # noqa: F401
        import ssl  # noqa: F401

    def offer(self, messages: Sequence[tuple[int, Message]]) -> int:
        """Post the first ones, up to a MiB.

        Raises:
            UnavailableError: no answer, or one that takes nothing now.
        """
        batch = self._batch(messages)
        body = b"".join(message.value + b"\n" for _, message in batch)
        status, retry_after = self._status(body)
        if 200 <= status < 300:
            self._most = min(self._most * 2, 1 << 30)
            self._receipts += [Receipt(number, "acknowledged") for number, _ in batch]
            return len(batch)
        if status not in _REFUSED:
            raise UnavailableError(f"the endpoint answers {status}", retry_after)
        if len(batch) > 1:
            self._most = len(batch) // 2
            return self.offer(messages)
        self._most = 2
        self._receipts.append(Receipt(batch[0][0], "refused", f"the endpoint answers {status}"))
        return 1

    def _batch(self, messages: Sequence[tuple[int, Message]]) -> Sequence[tuple[int, Message]]:
        size = 0
        for count, (_, message) in enumerate(messages):
            size += message.size
            if count and (size > _MOST_BYTES or count >= self._most):
                return messages[:count]
        return messages

    def _status(self, body: bytes) -> tuple[int, float | None]:
        """The answer's status and advice. A connection that was closed while it was idle is made again, once."""
        import http.client

        while True:
            again, self._used = self._used, True
            try:
                return self._answer(body)
            except (OSError, http.client.HTTPException) as wrong:
                self._disconnect()
                if not again or isinstance(wrong, TimeoutError):
                    raise UnavailableError(f"the endpoint cannot be reached ({type(wrong).__name__})") from None

    def _answer(self, body: bytes) -> tuple[int, float | None]:
        if self._connection is None:
            self._connection = self._connect()
        path = (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")
        self._connection.request("POST", path, body, self._headers)
        with self._connection.getresponse() as response:
            response.read(_MOST_READ)
            complete = response.isclosed() or response.length == 0
            status, advice = response.status, _retry_after(response)
        if not complete:
            self._disconnect()
        return status, advice

    def _connect(self) -> HTTPConnection:
        import http.client

        host, port = self._parts.hostname, self._parts.port
        assert host is not None  # noqa: S101  # by the constructor
        if self._parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_s)

    def _disconnect(self) -> None:
        connection, self._connection, self._used = self._connection, None, False
        if connection is not None:
            connection.close()

    def receipts(self, wait_s: float) -> list[Receipt]:
        """Those of the requests so far."""
        receipts, self._receipts = self._receipts, []
        return receipts

    def close(self, timeout_s: float) -> None:
        """Close the connection."""
        self._disconnect()
        self._receipts = []

    def abandon(self) -> object:
        """The connection is the parent's."""
        connection, self._connection, self._used = self._connection, None, False
        self._receipts = []
        return connection


def _login(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    from base64 import b64encode

    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + b64encode(pair.encode()).decode()}


def _retry_after(response: HTTPResponse) -> float | None:
    """Seconds, or a date; None for neither."""
    text = (response.headers.get("Retry-After") or "").strip()
    if text.isdigit():
        return float(text)
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None
