"""Redacts free text during decoding, before any step, store or topic receives it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from typing_extensions import override

from connectors.batch import I64, Batch, Objects
from connectors.dead_letters import REDACTED
from connectors.decode.decoder import Decoder
from connectors.decode.structs import AttemptRecord, CheckRecord, ToolCallRecord

_TEXTS: Final = ("error", "reason")
_FOUND: Final = ("actual", "threshold", "details")
_Part = TypeVar("_Part", AttemptRecord, ToolCallRecord)


class RedactingDecoder(Decoder):
    """Replaces what matches a pattern by `REDACTED`.

    In `error` (of attempts and tools too), `reason`, `attrs`, what `checks` found, and marks.
    Ids, names, authors and times are kept: they decide which records belong together. Conflicts are detected by the
    original text. Costs about 1 us per record, and more for records that have such texts.
    """

    def __init__(self, redact: Sequence[str], **settings: Any) -> None:
        """`redact`: regular expressions; `settings`: the arguments of `Decoder`."""
        super().__init__(**settings)
        self._patterns = [re.compile(text) for text in redact]

    @override
    def decode(
        self,
        raws: list[bytes],
        kinds: NDArray[np.uint8],
        partition: Any,
        offset: I64,
        partitions: Sequence[str] = (),
    ) -> Batch:
        """As `Decoder`; `raw` is not changed, as dead letters redact it themselves."""
        batch = super().decode(raws, kinds, partition, offset, partitions)
        self._redact_records(batch.calls.records, ("error",))
        self._redact_records(batch.outcomes.records, _TEXTS)
        self._redact_records(batch.said.records, _TEXTS)
        batch.deployed = [
            mark if mark.text is None else mark._replace(text=self._redacted(mark.text)) for mark in batch.deployed
        ]
        return batch

    def _redact_records(self, records: Objects, names: tuple[str, ...]) -> None:
        for i, record in enumerate(records):
            changes: dict[str, Any] = {
                name: self._redacted(text) for name in names if (text := getattr(record, name)) is not None
            }
            if record.attrs:
                changes["attrs"] = {
                    key: self._redacted(value) if isinstance(value, str) else value
                    for key, value in record.attrs.items()
                }
            if attempts := getattr(record, "attempts", None):
                changes["attempts"] = list(map(self._redacted_error, attempts))
            if isinstance(tools := getattr(record, "tool_calls", None), list):
                changes["tool_calls"] = list(map(self._redacted_error, tools))
            if checks := getattr(record, "checks", None):
                changes["checks"] = list(map(self._redacted_check, checks))
            if any(getattr(record, name) != value for name, value in changes.items()):
                records[i] = replace(record, **changes)

    def _redacted_error(self, part: _Part) -> _Part:
        """An attempt or a tool call."""
        return part if part.error is None else replace(part, error=self._redacted(part.error))

    def _redacted_check(self, check: CheckRecord) -> CheckRecord:
        """What the producer says was found, and by what measure."""
        texts = {name: value for name in _FOUND if isinstance(value := getattr(check, name), str)}
        return replace(check, **{name: self._redacted(value) for name, value in texts.items()})

    def _redacted(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        return text
