"""Gives calls the names under which they are counted: plain ones, and those of aliases."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec
from xxhash import xxh3_64_intdigest

from aftercall.names import NAMES, label_of, plain_name
from aftercall.vocabulary import RESERVED_NAMES
from aftercall.wire_parts import MAX_TEXT
from connectors.batch import Bools, Objects
from connectors.decode.aliases import Aliases, AliasSettings
from connectors.decode.attempts import alias
from connectors.decode.structs import DEFAULT_CONFIG, CallRecord

Group = tuple[str, str, str]
_MOST_KNOWN: Final = 100_000
_HINT_BITS: Final = (5, 6, 5)
"""Places of the hints; of each name the lowest 5 bits are kept."""
_HINT: Final = 31


class Renaming(NamedTuple):
    """What becomes of the names of a call.

    Attributes:
        group: under which it is counted.
        digest: of its names as they are read, before aliases: by these a second record of its id is compared.
        hint: 5 bits of the digests of each, with a free one before those of the model: enough to say, nearly always,
            which of them differs.
        sure: the names can be accepted as they are read; otherwise pydantic decides.
        changed: the call's record needs other names.
    """

    group: Group
    digest: int
    hint: int
    sure: bool
    changed: bool


class Renamer:
    """Decides what becomes of the names of calls; remembers what it has decided."""

    def __init__(self, aliases: AliasSettings) -> None:
        """Prepare the aliases."""
        self._aliases = Aliases(aliases.task), Aliases(aliases.model), Aliases(aliases.config)
        self._known: dict[Group, Renaming] = {}

    def of(self, sent: Group) -> Renaming:
        """What becomes of a (task_type, model, config); about 2 us where it is new."""
        known = self._known.get(sent)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[sent] = self._renaming(sent)
        return known

    def _renaming(self, sent: Group) -> Renaming:
        task, model, config = map(plain_name, sent)
        read = task, model, config or DEFAULT_CONFIG
        sure = all(name and len(name) <= MAX_TEXT and name not in RESERVED_NAMES for name in read)
        aliased = [aliases.of(name) for aliases, name in zip(self._aliases, read, strict=True)]
        group = aliased[0], aliased[1], aliased[2]
        # The join's migration of its state has the same digest: `models.join.migrations.names_in_digests`.
        digest = xxh3_64_intdigest("\0".join(read).encode())
        return Renaming(group, digest, _hint(read), sure, group != sent)

    def task(self, name: str) -> str:
        """The task type that counts for a plain one."""
        return self._aliases[0].of(name)

    def alias_attempts(self, records: Objects, tried: Bools) -> None:
        """Give attempts the names that count, in those calls that have some."""
        _, models, configs = self._aliases
        alias(records, tried, models, configs)


def _hint(read: Group) -> int:
    hint = 0
    for name, bits in zip(read, _HINT_BITS, strict=True):
        hint = hint << bits | xxh3_64_intdigest(name.encode()) & _HINT
    return hint


def rename(call: CallRecord, group: Group) -> None:
    """Give a call its names; `attrs` has the former ones, unless labels of these names were sent."""
    changes = {name: new for name, new in zip(NAMES, group, strict=True) if getattr(call, name) != new}
    attrs: dict[str, Any] = dict(call.attrs or {})
    for name, new in changes.items():
        attrs.setdefault(label_of(name), getattr(call, name))
        msgspec.structs.force_setattr(call, name, new)
    msgspec.structs.force_setattr(call, "attrs", attrs)
