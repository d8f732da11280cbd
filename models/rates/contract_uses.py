"""Counts how many calls each version of each contract has judged, and when these were."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from models.side_messages import Uses


class Used(NamedTuple):
    """Of a version: how many calls it has judged, and the times of the first and the last of them, us."""

    calls: int
    first_at: int
    last_at: int


class ContractUses:
    """The counts, by name and version."""

    def __init__(self, state: Iterable[Sequence[object]] = ()) -> None:
        """Nothing has been judged, or what a `state()` says."""
        self._uses = {(name, version): Used(*used) for name, version, *used in state}  # type: ignore[arg-type]

    def add(self, uses: Iterable[Uses]) -> None:
        """Add those of a batch."""
        for use in uses:
            key = use.contract, use.version
            known = self._uses.get(key, Used(0, use.first_at, use.last_at))
            self._uses[key] = Used(
                known.calls + use.calls, min(known.first_at, use.first_at), max(known.last_at, use.last_at)
            )

    def rows(self, contracts: Iterable[tuple[str, str, Any, Any, Any]]) -> list[tuple[Any, ...]]:
        """A row for each of the contracts, which begin with name and version: with what it has judged, 0 and None."""
        return [(*one, *self._uses.get(one[:2], (0, None, None))) for one in contracts]

    def state(self) -> list[tuple[object, ...]]:
        """Plain values."""
        return [(*key, *used) for key, used in sorted(self._uses.items())]
