"""Gives the attempts of calls the names under which they are counted."""

from __future__ import annotations

import msgspec

from aftercall.names import plain_name
from aftercall.vocabulary import RESERVED_NAMES
from aftercall.wire_parts import MAX_TEXT
from connectors.batch import Bools, Objects
from connectors.decode.aliases import Aliases
from connectors.decode.structs import AttemptRecord, CallRecord


def make_plain(record: CallRecord, attempts: list[AttemptRecord]) -> bool:
    """Give a call's attempts plain names; whether these can be accepted, else nothing is changed."""
    named = [
        msgspec.structs.replace(one, model=plain_name(one.model), config=plain_name(one.config or "") or None)
        for one in attempts
    ]
    if not all(map(_is_sure, named)):
        return False
    msgspec.structs.force_setattr(record, "attempts", named)
    return True


def alias(records: Objects, tried: Bools, models: Aliases, configs: Aliases) -> None:
    """Give the attempts of those calls that have some, whose names are plain, the names of aliases."""
    for record in records[tried]:
        counted = [
            msgspec.structs.replace(
                one, model=models.of(one.model), config=None if one.config is None else configs.of(one.config)
            )
            for one in record.attempts
        ]
        msgspec.structs.force_setattr(record, "attempts", counted)


def _is_sure(attempt: AttemptRecord) -> bool:
    names = [attempt.model] if attempt.config is None else [attempt.model, attempt.config]
    return all(name and len(name) <= MAX_TEXT and name not in RESERVED_NAMES for name in names)
