"""Redaction of free text before it goes anywhere: what a lane hands on is blotted out already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from typing_extensions import override

from connectors.batch import I64, Batch, Objects
from connectors.dead_letters import REDACTED
from connectors.decode.decoder import Decoder

_TEXTS: Final = ("error", "reason")


class RedactingDecoder(Decoder):
    """Blots out what matches a pattern in `error`, `reason` and the texts of `attrs`.

    Ids, names and times are left: they decide what belongs together. Conflicts are told by the original text. Costs
    about 1 us a record, and more for those that have such texts.
    """

    def __init__(self, redact: Sequence[str], **settings: Any) -> None:
        """`redact`: regular expressions; the rest is for `Decoder`."""
        super().__init__(**settings)
        self._redact = [re.compile(text) for text in redact]

    @override
    def decode(
        self,
        raws: list[bytes],
        kinds: NDArray[np.uint8],
        partition: Any,
        offset: I64,
        partitions: Sequence[str] = (),
    ) -> Batch:
        """As `Decoder`; `raw` stays as it was, dead letters redact it themselves."""
        batch = super().decode(raws, kinds, partition, offset, partitions)
        self._blot(batch.calls.records, ("error",))
        self._blot(batch.outcomes.records, _TEXTS)
        return batch

    def _blot(self, records: Objects, names: tuple[str, ...]) -> None:
        for i, record in enumerate(records):
            changes: dict[str, Any] = {
                name: self._blotted(text) for name in names if (text := getattr(record, name)) is not None
            }
            if record.attrs:
                changes["attrs"] = {
                    key: self._blotted(value) if isinstance(value, str) else value
                    for key, value in record.attrs.items()
                }
            if any(getattr(record, name) != value for name, value in changes.items()):
                records[i] = replace(record, **changes)

    def _blotted(self, text: str) -> str:
        for pattern in self._redact:
            text = pattern.sub(REDACTED, text)
        return text
