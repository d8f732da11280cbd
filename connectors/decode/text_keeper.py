"""Decides which texts of calls stay in their records, and hands them on redacted and cut, as they may be kept."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from msgspec.structs import force_setattr, replace

from connectors.batch import U64, Objects
from connectors.dead_letters import CUT_MARK, REDACTED
from connectors.decode.structs import CallRecord, ToolCallRecord

_HASHES: Final = 2**64
_BYTES_PER_CHARACTER: Final = 4
_TOOL_TEXTS: Final = ("input", "output", "error")


class TextKeeper:
    """Keeps `input` and `output` of a share of the calls and of their tool calls; drops those of others."""

    def __init__(self, share: float, max_bytes: int, redact: Sequence[str] = ()) -> None:
        """Prepare it.

        Args:
            share: of the calls, by a hash of their ids: the same ones in every run.
            max_bytes: of one text, in UTF-8, the mark of a cut included.
            redact: regular expressions; what matches one is replaced by `REDACTED`, before a text is cut.
        """
        self._bound = round(share * _HASHES)
        self._most = max_bytes
        self._patterns = [re.compile(pattern) for pattern in redact]

    def apply(self, records: Objects, keys: U64) -> None:
        """Change the records of accepted calls; `keys` are the hashes of their ids.

        About 0.2 us per text, and more where there are patterns.
        """
        for record, key in zip(records.tolist(), keys.tolist(), strict=True):
            if key >= self._bound:
                _drop(record)
                continue
            if record.input is not None:
                force_setattr(record, "input", self._kept(record.input))
            if record.output is not None:
                force_setattr(record, "output", self._kept(record.output))
            if isinstance(record.tool_calls, list):
                force_setattr(record, "tool_calls", [self._kept_tool(tool) for tool in record.tool_calls])

    def _kept_tool(self, tool: ToolCallRecord) -> ToolCallRecord:
        texts: dict[str, Any] = {name: text for name in _TOOL_TEXTS if (text := getattr(tool, name)) is not None}
        return replace(tool, **{name: self._kept(text) for name, text in texts.items()}) if texts else tool

    def _kept(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        if len(text) * _BYTES_PER_CHARACTER <= self._most:
            return text
        data = text.encode()
        if len(data) <= self._most:
            return text
        return data[: max(0, self._most - len(CUT_MARK))].decode(errors="ignore") + CUT_MARK


def _drop(record: CallRecord) -> None:
    force_setattr(record, "input", None)
    force_setattr(record, "output", None)
    if isinstance(record.tool_calls, list):
        force_setattr(record, "tool_calls", [replace(tool, input=None, output=None) for tool in record.tool_calls])
