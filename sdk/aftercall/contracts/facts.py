"""Reads what rules look at out of one call, whatever its fields hold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

from aftercall.times import parse_time

MAX_TOOL_CALLS: Final = 1024
"""Of a call with more, rules on tools are in error: judging a call takes milliseconds at most, whatever it holds."""
MAX_DOCUMENTS_READ: Final = 32
"""So many documents of one tool call are looked at, as many as the pipeline keeps."""
NO_TOOLS: Final = "tool_calls was not sent as a list"
TOO_MANY_TOOLS: Final = f"the call has more than {MAX_TOOL_CALLS:,} tool calls, which are not judged"


class DocumentUse(NamedTuple):
    """One document that a tool gave back; `at_us` as of when it is, else as of when the tool's data are."""

    id: str
    version: str | None
    at_us: int | None


class ToolUse(NamedTuple):
    """One tool call, as rules read it."""

    name: str | None
    failed: bool
    attempts: int | None
    stale: bool
    partial: bool
    empty: bool
    data_at: str | None
    documents: list[Any] | None


class Facts:
    """What the rules read of a call; a field of a wrong type counts as absent.

    `call` is a wire record: a mapping with the fields of `AgentCall`, or an object with attributes of these names, as
    are its tool calls. A field is read when a rule first asks for it. None of its methods raises.
    """

    def __init__(self, call: Any) -> None:
        self.get: Final = _reader(call)

    def text(self, field: str) -> str | None:
        """A field that is text; None where it is absent, empty, or anything else."""
        value = self.get(field)
        return value if isinstance(value, str) and value else None

    def number(self, field: str) -> float | None:
        """A field that is a finite number; None where it is absent, or anything else."""
        return number_of(self.get(field))

    def label(self, name: str) -> str | float | bool | None:
        """A label of `attrs`: text, number, or bool; None where it is absent, or anything else."""
        attrs = self.get("attrs")
        value = attrs.get(name) if isinstance(attrs, Mapping) else None
        return value if isinstance(value, str | bool) else number_of(value)

    @cached_property
    def at_us(self) -> int | None:
        """When the call occurred, in microseconds since 1970 UTC."""
        return time_of(self.get("occurred_at"))

    @cached_property
    def tokens(self) -> float | None:
        """All tokens: `tokens`, else the sum of those in and out."""
        total = self.number("tokens")
        given = [self.number("tokens_in"), self.number("tokens_out")]
        known = [tokens for tokens in given if tokens is not None]
        return total if total is not None else sum(known) if known else None

    @cached_property
    def failed(self) -> bool:
        """Whether the call itself has an `error`."""
        return self.text("error") is not None

    @cached_property
    def tools_unread(self) -> str | None:
        """Why the tool calls are not looked at; None where they are."""
        given = self.get("tool_calls")
        if not isinstance(given, list | tuple):
            return NO_TOOLS
        return TOO_MANY_TOOLS if len(given) > MAX_TOOL_CALLS else None

    @cached_property
    def tools(self) -> tuple[ToolUse, ...]:
        """The tool calls in their order; empty where `tools_unread` says why they are not read."""
        return () if self.tools_unread else tuple(map(_tool, self.get("tool_calls")))

    @cached_property
    def tool_names(self) -> Counter[str | None]:
        """How often each tool was called, in the order of their first calls; None: tool calls without a name."""
        return Counter(tool.name for tool in self.tools)

    @cached_property
    def data_times(self) -> tuple[int | None, ...]:
        """Of each tool call, as of when its data are."""
        return tuple(None if tool.data_at is None else time_of(tool.data_at) for tool in self.tools)

    @cached_property
    def documents(self) -> tuple[DocumentUse, ...]:
        """What the tool calls gave back, the first 32 of each; those without an id are left out."""
        found: list[DocumentUse] = []
        for tool, at_us in zip(self.tools, self.data_times, strict=True):
            for document in (tool.documents or [])[:MAX_DOCUMENTS_READ]:
                get = _reader(document)
                name = name_of(get("id"))
                if name is not None:
                    own_us = time_of(get("data_at"))
                    found.append(DocumentUse(name, name_of(get("version")), at_us if own_us is None else own_us))
        return tuple(found)

    @cached_property
    def tool_count(self) -> float | None:
        """How many tool calls there were, from a list or a number."""
        given = self.get("tool_calls")
        return float(len(given)) if isinstance(given, list | tuple) else number_of(given)


def number_of(value: object) -> float | None:
    """A finite number; None for bool and anything else.

    >>> number_of(2), number_of(True), number_of(float("nan")), number_of("2"), number_of(10**400)
    (2.0, None, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def time_of(value: object) -> int | None:
    """Microseconds since 1970 UTC of an RFC 3339 text; None for anything else.

    >>> time_of("1970-01-01T00:00:01Z"), time_of("yesterday"), time_of(5)
    (1000000, None, None)
    """
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None


def name_of(value: object) -> str | None:
    """An id: text, or an integer as its digits; None for anything else.

    >>> name_of("7"), name_of(7), name_of(""), name_of(True)
    ('7', '7', None, None)
    """
    if type(value) is int:
        return str(value) if abs(value) < 10**18 else None  # the digits of longer ones take time without bound
    return value if isinstance(value, str) and value else None


def _reader(given: Any) -> Callable[[str], Any]:
    """How a field is read: by key, or as an attribute; a number or a text has neither."""
    if isinstance(given, Mapping):
        return given.get
    return lambda field: getattr(given, field, None)


def _tool(given: Any) -> ToolUse:
    """A tool call; one that is no object has neither a name nor anything else."""
    get = _reader(given)
    name, ok, error, attempts, data_at = get("name"), get("ok"), get("error"), get("attempts"), get("data_at")
    documents, empty = get("documents"), get("empty")
    documents = documents if isinstance(documents, list | tuple) else None
    return ToolUse(
        name if isinstance(name, str) and name else None,
        ok is False or (ok is not True and isinstance(error, str) and error != ""),
        None if attempts is None or (number := number_of(attempts)) is None else int(number),
        get("stale") is True,
        get("partial") is True,
        empty is True or (empty is not False and _found(get("items"), documents) == 0),
        data_at if isinstance(data_at, str) else None,
        None if documents is None else list(documents[:MAX_DOCUMENTS_READ]),
    )


def _found(items: object, documents: list[Any] | tuple[Any, ...] | None) -> float | None:
    """How many things a tool gave back; None where it does not say."""
    if isinstance(items, list | tuple):
        return len(items)
    number = number_of(items)
    return len(documents) if number is None and documents is not None else number
