"""Defines what is known of one use of a tool in a case: which call it was, what broke it, and how it ended."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from aftercall.errors import UserError


class FaultLogError(UserError):
    """A log of faults cannot be read: the file, the line, what is wrong."""


@dataclass(frozen=True)
class SeenUse:
    """One call of a tool that could be broken; texts of it are not kept."""

    case: str
    """The case's key; empty where the tool does not know it."""
    tool: str
    number: int
    """Which call of this tool it was in the case, from 1."""
    fault: str | None = None
    """The kind that was drawn for it."""
    entry: str | None = None
    """The entry of `--inject` that struck, such as `error:*`."""
    applied: bool = False
    """Whether the fault changed anything: a list of nothing cannot be made partial."""
    ok: bool = True
    error: str | None = None
    """The name of the exception that the agent got, or an HTTP status."""
    latency_ms: float = 0.0
    items: int | None = None
    """How many things it gave back, where that is a list."""

    def wire(self) -> dict[str, Any]:
        """The same as an entry of `tool_calls`, marked as rules of contracts read it."""
        call: dict[str, Any] = {"name": self.tool, "ok": self.ok, "latency_ms": self.latency_ms}
        if self.error is not None:
            call["error"] = self.error
        if self.items is not None:
            call["items"] = self.items
        return call | self.marks

    @property
    def marks(self) -> dict[str, Any]:
        """What a fault that was applied makes of the entry."""
        if not self.applied:
            return {}
        if self.fault in {"timeout", "error"}:
            return {"ok": False, "error": self.error or self.fault}
        return {self.fault: True} if self.fault in {"empty", "partial", "stale"} else {}


_FIELDS: Final = {field.name for field in fields(SeenUse)}


def append_use(path: str | os.PathLike[str], use: SeenUse) -> None:
    """Append one line to a log of faults; lines of several processes do not mix.

    Raises:
        OSError: the file cannot be written.
    """
    line = (json.dumps(asdict(use), separators=(",", ":")) + "\n").encode()
    opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(opened, line)
    finally:
        os.close(opened)


def read_uses(path: str | os.PathLike[str], at: int = 0) -> tuple[list[SeenUse], int]:
    """The uses in a log of faults from a byte on, in their order, and where the last whole line ends.

    A last line without its end, which a kill cut or which is being written, is left out.

    Raises:
        FaultLogError: a line is none of a log of faults.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - any path-like
        file.seek(at)
        lines = file.read().split(b"\n")[:-1]
    uses = [_use(line, f"{os.fspath(path)}, byte {at:,}, line {number}") for number, line in enumerate(lines, 1)]
    return uses, at + sum(len(line) + 1 for line in lines)


def _use(line: bytes, place: str) -> SeenUse:
    try:
        given = json.loads(line)
        return SeenUse(**{name: value for name, value in given.items() if name in _FIELDS})
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise FaultLogError(
            f"{place}: must be a line that a proxy or a tool under faults wrote; got {line[:40]!r}"
            " (name the file of --log)"
        ) from None
