"""Asks a service over HTTP: `POST {"input": ...}`, or a request of the user's own shape."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from aftercall.errors import UsageError
from aftercall.evals.answer import MAX_ANSWER, Answer, AnswerError, LateAnswerError, answer_of
from aftercall.evals.asked import headers_of_case
from aftercall.evals.case import EvalCase
from connectors.agents.bodies import found_at, json_body, read_body

_PIECE: Final = 65536
_MAX_BODY: Final = 4 * MAX_ANSWER
"""An answer of 1 MiB may be longer as JSON, and have tool calls beside it."""
_NS_PER_MS: Final = 1e6


@dataclass(frozen=True)
class Shape:
    """How a request looks and where the answer lies.

    `request` is JSON in which a text `{input}` alone stands for the input as it is, and within other texts for its
    text; `{id}` and `{metadata.NAME}` likewise. `output`, `tool_calls` and `cost` are paths into the answer, such as
    `choices.0.message.content`; where `output` is empty, the answer is text, or an object with `output`.
    """

    request: Any = field(default_factory=lambda: {"input": "{input}"})
    output: str = ""
    tool_calls: str = ""
    cost: str = ""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A request with a body is never sent to an address that was not named."""

    def redirect_request(self, *_: Any) -> None:
        return None


class HttpAgent:
    """A service. Redirects are not followed; a status other than 2xx is an error."""

    def __init__(self, url: str, shape: Shape | None = None, headers: Mapping[str, str] | None = None) -> None:
        """Look at the address.

        Raises:
            UsageError: it is no address of HTTP.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError(f"--agent: must be a URL with a host; got {url[:80]!r} (write it like http://host/path)")
        self.name: Final = _without_secrets(url)
        self._url = url
        self._shape = shape or Shape()
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._opener = urllib.request.build_opener(_NoRedirects)

    def ask(self, case: EvalCase, timeout_s: float) -> Answer:
        """As `Agent.ask`. Each wait for a piece of the answer is bounded, and so are all together."""
        began = time.perf_counter_ns()
        body = json.dumps(filled(self._shape.request, case)).encode()
        request = urllib.request.Request(self._url, body, {**self._headers, **headers_of_case()})  # noqa: S310 - http or https
        try:
            with self._opener.open(request, timeout=timeout_s) as response:
                raw = _read(response, time.monotonic() + timeout_s)
                kind = response.headers.get_content_type()
        except urllib.error.HTTPError as wrong:
            wrong.close()
            raise AnswerError(_status(wrong.code)) from None
        except (OSError, http.client.HTTPException) as wrong:
            raise _not_reached(wrong) from None
        return answer_of(self._read(raw, kind), (time.perf_counter_ns() - began) / _NS_PER_MS)

    def close(self) -> None:
        """Do nothing: each connection has ended."""

    def _read(self, raw: bytes, kind: str) -> Any:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as wrong:
            raise AnswerError(f"the answer is no UTF-8: byte {wrong.start:,} does not belong there") from None
        if not self._shape.output:
            return json_body(text) if kind == "application/json" and text else read_body(text)
        found = json_body(text)
        output = found_at(found, self._shape.output)
        if output is None:
            raise AnswerError(f"the answer has nothing at {self._shape.output}")
        others = {"tool_calls": self._shape.tool_calls, "cost_usd": self._shape.cost}
        return {"output": output, **{name: found_at(found, path) for name, path in others.items() if path}}


def filled(template: Any, case: EvalCase) -> Any:
    """A template with the values of a case.

    >>> case = EvalCase(input={"order": 7}, id="c1", metadata={"user": "u"})
    >>> filled({"q": "{input}", "text": "Asked: {input}", "who": ["{metadata.user}", "{id}"]}, case)
    {'q': {'order': 7}, 'text': 'Asked: {"order": 7}', 'who': ['u', 'c1']}
    """
    if isinstance(template, Mapping):
        return {key: filled(value, case) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [filled(value, case) for value in template]
    if not isinstance(template, str) or "{" not in template:
        return template
    if template == "{input}":
        return case.input
    text = template.replace("{id}", case.id)
    for name, value in case.metadata.items():
        text = text.replace(f"{{metadata.{name}}}", str(value))
    return text.replace("{input}", case.question)


def _without_secrets(url: str) -> str:
    """The address without user, password and query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = "" if parts.port is None else f":{parts.port}"
    return urlunsplit((parts.scheme, f"[{host}]{port}" if ":" in host else f"{host}{port}", parts.path, "", ""))


def _read(response: Any, until: float) -> bytes:
    pieces, size = [], 0
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > _MAX_BODY:
            raise AnswerError(f"the answer has more than {MAX_ANSWER:,} bytes")
        if time.monotonic() > until:
            raise LateAnswerError
    if response.length:  # what was announced and did not come
        raise AnswerError("the agent ended in the middle of its answer")
    return b"".join(pieces)


def _status(code: int) -> str:
    if 300 <= code < 400:
        return (
            f"the agent answered with status {code}, a redirect, which is not followed (name the address it leads to)"
        )
    return f"the agent answered with status {code}"


def _not_reached(wrong: Exception) -> AnswerError:
    cause = wrong.reason if isinstance(wrong, urllib.error.URLError) else wrong
    if isinstance(cause, TimeoutError):
        return LateAnswerError()
    words = getattr(cause, "strerror", None) or type(cause).__name__
    return AnswerError(f"the agent cannot be reached: {words}")
