"""Decides what a second record of a held call is: the same call, as far as both say, or another one.

Of a call it is remembered which fields its records have filled, one bit each, and digests of those that must be equal;
the values of the others are kept nowhere (docs/decisions/0020-what-a-ledger-makes-of-many-statements.md, section 6).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from xxhash import xxh3_64_intdigest

from aftercall.times import DAY_US
from aftercall.vocabulary import FILLED_ONCE
from models.join.held_calls import fold_digest
from models.messages import Group

MOST_APART_US: Final = DAY_US
"""Between the instants of two records of one call."""
BITS: Final = {name: 1 << place for place, name in enumerate(FILLED_ONCE)}
KNOWN: Final = 1 << len(FILLED_ONCE)
"""Set in what is remembered of a call. A call that a state of before brought has nothing to compare with."""
FIELDS: Final = KNOWN - 1
ERROR_BIT, SESSION_BIT, LATENCY_BIT = BITS["error"], BITS["session_id"], BITS["latency_ms"]
COST_BIT, TOKENS_BIT, ATTEMPTS_BIT = BITS["cost_usd"], BITS["tokens"], BITS["attempts"]
_NAMES: Final = (("task_type", 27, 31), ("model", 21, 31), ("config", 16, 31))
"""Place and mask of each name's hint."""
UNKNOWN_NAME: Final = "task_type, model or config"
"""In place of the name that differs, where what is remembered of aliased names does not tell."""


class Contents(NamedTuple):
    """What the records of a call have had so far, or what one record has.

    Attributes:
        filled: bits of `FILLED_ONCE`, KNOWN, and from bit 16 on hints which name differs from another call's
            (bit 26 is none of them: see `aftercall.vocabulary`).
        names: digest of the names as they were sent.
        segment: of the segment; 0 where absent.
        session: of the session, where there is one.
        error: of the error, where there is one.
    """

    filled: int
    names: int
    segment: int
    session: int
    error: int

    def and_of(self, other: Contents) -> Contents:
        """What both have together; of two values the first stays."""
        new = other.filled & ~self.filled
        return Contents(
            self.filled | (other.filled & FIELDS),
            self.names,
            self.segment,
            other.session if new & SESSION_BIT else self.session,
            other.error if new & ERROR_BIT else self.error,
        )


def filled_by(first: Contents, other: Contents, apart_us: int) -> int:
    """The bits of what a record fills of a call; `apart_us`: between the instants of the two, either sign.

    Where neither has a latency, it is the time between them.
    """
    new = other.filled & ~first.filled & FIELDS
    return new if (first.filled | other.filled) & LATENCY_BIT or apart_us == 0 else new | LATENCY_BIT


def differing(first: Contents, other: Contents, apart_us: int, groups: tuple[Group, Group]) -> str | None:
    """The first field that keeps a record from being one of the same call; None if none does."""
    if first.names != other.names:
        return _differing_name(first, other, groups)
    if first.segment != other.segment:
        return "segment"
    both = first.filled & other.filled
    if both & ERROR_BIT and first.error != other.error:
        return "error"
    if both & SESSION_BIT and first.session != other.session:
        return "session_id"
    return None if abs(apart_us) <= MOST_APART_US else "occurred_at"


def names_digest(names: Group) -> int:
    """The digest of names as they were read, as `connectors.decode.renaming` makes it, and half of it is stored."""
    digest: int = fold_digest(xxh3_64_intdigest("\0".join(names).encode()))
    return digest


def _differing_name(first: Contents, other: Contents, groups: tuple[Group, Group]) -> str:
    """Which name differs of those that were read: the first, where no alias has changed any.

    Else names that count may be equal, or differ as the aliases have changed since: a hint that differs is sure, and
    nearly always the first; where none does, which happens to one name in 32, the names that count may tell.
    """
    counted = [name for (name, _, _), one, two in zip(_NAMES, *groups, strict=True) if one != two]
    if all(names_digest(names) == read.names for names, read in zip(groups, (first, other), strict=True)):
        return counted[0] if counted else UNKNOWN_NAME
    hinted = [name for name, place, mask in _NAMES if (first.filled >> place ^ other.filled >> place) & mask]
    return (hinted or counted or [UNKNOWN_NAME])[0]
