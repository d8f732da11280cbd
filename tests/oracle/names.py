"""What becomes of names and ids at the door (reference sections 1 and 6), a character and a glob at a time."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from oracle.records import Outcome

if TYPE_CHECKING:
    from oracle.records import Attempt, Call, Record, Rules

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
    attempts = tuple(tried(attempt, rules) for attempt in call.attempts)
    sent_as = tuple(read.values())
    names = replace(call, task_type=task_type, model=model, config=config, sent=sent_as, attempts=attempts)
    return replace(names, attrs=attrs) if changed else names


def tried(attempt: Attempt, rules: Rules) -> Attempt:
    """An attempt under the names that count; one whose config has nothing to see has that of its call."""
    model = alias(plain(attempt.model), rules.aliases.get("model", {}))
    config = plain(attempt.config or "") or None
    aliases = rules.aliases.get("config", {})
    return replace(attempt, model=model, config=None if config is None else alias(config, aliases))


def spelled(record: Record, rules: Rules) -> Record:
    """The record with its ids in the form in which they are read."""
    if not rules.ids_as_uuids:
        return record
    if isinstance(record, Outcome):
        retracts = None if record.retracts is None else uuid(record.retracts)
        return replace(record, call_id=uuid(record.call_id), outcome_id=uuid(record.outcome_id), retracts=retracts)
    parent = None if record.parent_call_id is None else uuid(record.parent_call_id)
    return replace(record, call_id=uuid(record.call_id), parent_call_id=parent)


def uuid(text: str) -> str:
    """An id as a UUID, where it has 32 hexadecimal digits and beside them dashes, braces, blanks, a prefix at most."""
    digits = [character for character in text if character not in "-{} " and unicodedata.category(character) != "Cf"]
    if "".join(digits[:9]).lower() == "urn:uuid:":
        digits = digits[9:]
    if len(digits) != 32 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
        return text
    parts = ("".join(digits[start:end]).lower() for start, end in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))
    return "-".join(parts)


def alias(name: str, aliases: dict[str, str]) -> str:
    """The name that counts: that of the name itself, else that of the glob that matches it."""
    if name in aliases:
        return aliases[name]
    return next((target for glob, target in aliases.items() if fnmatchcase(name, glob)), name)
