"""Finds outcomes that wait for a call, but name a session that is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aftercall.printable import printable
from connectors.batch import Warned
from connectors.snapshot.publish import Publication

SESSION_IDS: Final = "session_ids"


def session_ids(waiting: Mapping[str, int], publication: Publication, at: int) -> list[Warned]:
    """The warning, or none. `waiting`: outcomes by the id they name; `at`: the watermark, us. O(calls)."""
    named = publication.sessions_of(list(waiting))
    if not named:
        return []
    count = sum(waiting[one] for one in named)
    names = f"{count:,} waiting outcomes name" if count > 1 else "1 waiting outcome names"
    detail = (
        f"{names} as call_id what no call has but a session, such as '{printable(named[0])}' "
        '(send it as session_id; scope = "all" if it is about all its calls)'
    )
    return [Warned(SESSION_IDS, "call_id", count, at, at, detail)]
