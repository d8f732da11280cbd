"""Keeps the ids that outcomes wait for, and warns of what they name instead."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Self

from connectors.batch import Warned
from connectors.snapshot.publish import Publication
from flows.dataflow.alike_ids import alike_ids
from flows.dataflow.session_ids import session_ids


class Unmatched:
    """The ids that outcomes wait for, by shard, and the warnings that they gave when they were last looked at."""

    def __init__(self, by_shard: Mapping[str, Sequence[str]] | None = None) -> None:
        # Replaced, never changed: a publication reads it in another thread.
        self._by_shard: dict[str, list[str]] = {shard: list(ids) for shard, ids in (by_shard or {}).items()}
        self._known: tuple[object, list[Warned]] = None, []

    def put(self, shard: str, call_ids: Sequence[str]) -> None:
        """Take the ids of a shard, in the place of its last ones."""
        self._by_shard = {**self._by_shard, shard: list(call_ids)}

    def erase(self, call_ids: Collection[str]) -> None:
        """Forget ids, and the examples that may be one of them."""
        gone = set(call_ids)
        self._by_shard = {shard: [one for one in ids if one not in gone] for shard, ids in self._by_shard.items()}

    def warnings(self, publication: Publication, at: int) -> list[Warned]:
        """The warnings of now. Reads the calls once after each change, O(calls); `at`: the watermark, us."""
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
    if not waiting:
        return []
    return alike_ids(waiting, publication, at) + session_ids(waiting, publication, at)
