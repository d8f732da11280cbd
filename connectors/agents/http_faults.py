"""Applies a fault to the request of a tool, and to the response that came for it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from aftercall.contracts.globs import Globs
from aftercall.evals.faults.broken import broken
from aftercall.evals.faults.injection import Injections

MAX_BROKEN_BODY: Final = 16 << 20
"""A response of more bytes is handed on as it is."""
STALE_HEADERS: Final = (("Age", "34560000"), ("Warning", '110 - "Response is Stale"'))
ERROR_BODY: Final = b'{"error": "internal error"}'
_BREAKABLE: Final = ("application/json", "text/")
_STREAMED: Final = "text/event-stream"


class Reply(NamedTuple):
    """A response that was read whole."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class ToolNames:
    """Names the tool of a request by its path.

    It is the segment that an entry of `--inject` names, the first of several; else the last one that is no number or
    id: `GET /crm/customers/4711` is `crm` under `timeout:crm`, else `customers`.

    >>> names = ToolNames(Injections.parse("timeout:crm,error:*"))
    >>> names.of("/crm/customers/4711?full=1"), names.of("/v1/search"), names.of("/")
    ('crm', 'search', '/')
    """

    def __init__(self, injections: Injections) -> None:
        self._named = Globs(entry.tool for entry in injections.entries if entry.tool.strip("*"))

    def of(self, target: str) -> str:
        """The name; `/` where the path has no segment."""
        segments = [unquote(segment) for segment in urlsplit(target).path.split("/") if segment]
        named = [segment for segment in segments if self._named.match(segment)]
        words = [segment for segment in segments if not any(char.isdigit() for char in segment)]
        return (named[:1] or words[-1:] or segments[-1:] or ["/"])[0]


def is_breakable(status: int, headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a response can be made empty, partial and the like: one that worked, of JSON or text, not streamed."""
    found = {name.lower(): value.lower() for name, value in headers}
    kind = found.get("content-type", "")
    encoded = found.get("content-encoding", "identity") not in {"identity", ""}
    is_text = kind.startswith(_BREAKABLE) or "+json" in kind
    return 200 <= status < 300 and not encoded and is_text and not kind.startswith(_STREAMED)


def broken_reply(kind: str, reply: Reply) -> Reply:
    """The response as a fault leaves it: the same where there is nothing to break.

    >>> broken_reply("empty", Reply(200, (("Content-Type", "application/json"),), b'[1, 2]')).body
    b'[]'
    """
    try:
        text = reply.body.decode("utf-8")
    except UnicodeDecodeError:
        return reply
    changed = broken(kind, text)
    if changed == text:
        return reply
    headers = tuple(
        (name, value) for name, value in reply.headers if name.lower() not in {"etag", "content-md5", "digest"}
    )
    return Reply(reply.status, (*headers, *(STALE_HEADERS if kind == "stale" else ())), changed.encode())
