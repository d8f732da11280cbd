"""Finds outcomes that wait for a call that is there, under an id in another spelling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Self

from aftercall.printable import printable
from connectors.batch import Warned
from connectors.decode.uuids import BESIDE
from connectors.snapshot.publish import Publication

ALIKE_IDS: Final = "alike_ids"


class AlikeIds:
    """The ids that outcomes wait for, by shard, and the warning that they gave when they were last looked at."""

    def __init__(self, by_shard: Mapping[str, Sequence[str]] | None = None) -> None:
        # Replaced, never changed: a publication reads it in another thread.
        self._by_shard: dict[str, list[str]] = {shard: list(ids) for shard, ids in (by_shard or {}).items()}
        self._known: tuple[object, list[Warned]] = None, []

    def put(self, shard: str, call_ids: Sequence[str]) -> None:
        """Take the ids of a shard, in the place of its last ones."""
        self._by_shard = {**self._by_shard, shard: list(call_ids)}

    def erase(self, call_ids: Collection[str]) -> None:
        """Forget ids, and the example that may be one of them."""
        gone = set(call_ids)
        self._by_shard = {shard: [one for one in ids if one not in gone] for shard, ids in self._by_shard.items()}

    def warnings(self, publication: Publication, at: int) -> list[Warned]:
        """The warning of now, or none. Reads the calls once after each change, O(calls); `at`: the watermark, us."""
        by_shard = self._by_shard
        if self._known[0] is not by_shard:
            self._known = by_shard, _found(by_shard, publication, at)
        return self._known[1]

    def state(self) -> dict[str, list[str]]:
        """As plain values."""
        return {shard: ids for shard, ids in self._by_shard.items() if ids}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Read `state`."""
        return cls(state)


def _found(by_shard: Mapping[str, Sequence[str]], publication: Publication, at: int) -> list[Warned]:
    waiting = Counter(one for _, ids in sorted(by_shard.items()) for one in ids)
    pairs = publication.spelled_like(list(waiting), BESIDE) if waiting else []
    if not pairs:
        return []
    count, (sent, held) = sum(waiting[one] for one, _ in pairs), pairs[0]
    names = f"{count:,} waiting outcomes name" if count > 1 else "1 waiting outcome names"
    remedy = '(send one spelling; for UUIDs, [join] id_form = "uuid" is enough)'
    detail = (
        f"{names} a call whose id differs only by case, dashes or braces (or blanks, or urn:uuid:), such as "
        f"'{printable(sent)}' for '{printable(held)}' {remedy}"
    )
    return [Warned(ALIKE_IDS, "call_id", count, at, at, detail)]
