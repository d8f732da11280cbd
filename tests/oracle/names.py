"""What becomes of the names of a call at the door (reference sections 1 and 6), a character and a glob at a time."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oracle.records import Call, Rules

FIELDS = ("task_type", "model", "config")


def plain(name: str) -> str:
    """Without what cannot be seen, without blanks around it, composed. (Histories have no other invisible ones.)"""
    visible = "".join(character for character in name if unicodedata.category(character) != "Cf")
    return unicodedata.normalize("NFC", visible.strip())


def counted(call: Call, rules: Rules) -> Call:
    """The call under the names that count; `sent` has those it is compared by, `attrs` those that were changed."""
    sent = {field: getattr(call, field) for field in FIELDS}
    read = {field: plain(name) or "default" for field, name in sent.items()}
    named = {field: alias(name, rules.aliases.get(field, {})) for field, name in read.items()}
    attrs = dict(call.attrs or {})
    for field in FIELDS:
        if named[field] != sent[field]:
            attrs.setdefault(f"{field}_as_sent", sent[field])
    changed = named != sent
    task_type, model, config = named.values()
    names = replace(call, task_type=task_type, model=model, config=config, sent=tuple(read.values()))
    return replace(names, attrs=attrs) if changed else names


def alias(name: str, aliases: dict[str, str]) -> str:
    """The name that counts: that of the name itself, else that of the glob that matches it."""
    if name in aliases:
        return aliases[name]
    return next((target for glob, target in aliases.items() if fnmatchcase(name, glob)), name)
