"""Says in a sentence that a source is to be watched (`[drift] sources`) and has said nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from aftercall.printable import printable

_LISTED: Final = 8


def unseen(watched: Iterable[str], seen: Collection[str]) -> dict[str, str]:
    """One sentence for each of `watched` that is not among the sources that have said success or failure.

    >>> unseen(["judge", "user"], {"users", "judge"})
    {'user': "drift.sources: 'user' has said nothing of any call yet, so it is not watched (seen: judge, users)"}
    """
    listed = sorted(map(printable, seen))
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    known = f"{', '.join(listed[:_LISTED])}{more}" if listed else "none"
    return {name: _text(name, known) for name in watched if name not in seen}


def _text(name: str, known: str) -> str:
    why = "has said nothing of any call yet, so it is not watched"
    return f"drift.sources: '{printable(name)}' {why} (seen: {known})"
