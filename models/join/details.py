"""Words the details of dead letters about an outcome that came under an id that is taken, or without a verdict."""

from __future__ import annotations

import json
import re
from typing import Final

from aftercall.printable import printable

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_TAKEN: Final = "another outcome of this call has this outcome_id"
_NOTHING: Final = "neither 'success' nor 'score' is given"
_RETRACT: Final = 'send action = "retract" to withdraw'


def second_record(field: str, source: str | None) -> str:
    """Why a second record of an outcome id is a `conflict`.

    Args:
        field: by which it is one: `source`, `author`, `retracts`, or `same_id`, the setting.
        source: of the first record of the id.
    """
    if field == "same_id":
        return f"{_TAKEN} (the newest of them counts with {_setting(source)})"
    if field == "retracts":
        return f"{_TAKEN}, and one of them has 'retracts' (give what retracts another outcome an outcome_id of its own)"
    return f"{_TAKEN}, of another {field} (give each {field} outcome_ids of its own)"


def no_verdict(source: str | None, *, revises: bool) -> str:
    """Why an outcome without `success` and `score` that clears nothing is refused.

    Args:
        source: its source.
        revises: whether that has `same_id = "revises"`.
    """
    if revises:
        return f"{_NOTHING}, and no outcome of this call has this outcome_id ({_RETRACT}, or the vote's outcome_id)"
    return f"{_NOTHING} ({_RETRACT}; its own outcome_id clears a vote with {_setting(source)})"


def _setting(source: str | None) -> str:
    name = source or ""
    key = printable(name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False))
    return f'[verdict.source.{key}] same_id = "revises"'
