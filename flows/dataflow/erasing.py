"""Erases calls from the snapshots, and writes a receipt once they are gone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from connectors.erasure.requests import Erasures
from connectors.snapshot.store import SnapshotStore
from connectors.snapshot.versions import keep_newest
from connectors.texts.store import TextStore
from flows.dataflow.snapshot_messages import EraseRows

_EPOCHS: Final = 3
"""Ends of epochs until a receipt may be written: the epoch in which rows were deleted, the next one, which begins only
once Bytewax has stored the first, and one more in which Bytewax removes the older state from its store."""


class Erasing:
    """Requests in progress: first rows to delete, then rows deleted from the live database, then done."""

    def __init__(self, out: Path, wall_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        """`out`: the run's output folder."""
        self._out, self._wall_us = out, wall_us
        self.requests = Erasures(out / "state")
        self._to_delete: dict[str, Counter[str]] = {}
        self._ids: dict[str, tuple[list[str], list[str]]] = {}
        """Of calls, and of sessions."""
        self._deleted: dict[str, Counter[str]] = {}
        self._epochs = 0

    def add(self, message: EraseRows) -> None:
        """Record that a shard has erased its share of a request from its state."""
        self._to_delete.setdefault(message.request, Counter()).update(held=message.held, waiting=message.waiting)
        calls, sessions = self._ids.setdefault(message.request, ([], []))
        calls += message.call_ids
        sessions += message.sessions

    @property
    def has_rows(self) -> bool:
        """Whether there are rows to delete."""
        return bool(self._to_delete)

    def delete(self, store: SnapshotStore, texts: TextStore) -> None:
        """Delete the rows and texts of all requests added so far; see `SnapshotStore.erase`."""
        for (call_ids, sessions), counts in zip(self._ids.values(), self._to_delete.values(), strict=True):
            counts.update(store.erase(call_ids, sessions))
            counts["texts"] += texts.erase(call_ids)
        store.rewrite()
        self._deleted |= self._to_delete
        self._to_delete, self._ids, self._epochs = {}, {}, 0

    def epoch_ended(self, *, published: bool) -> None:
        """Called at each epoch's end; `published`: a snapshot that was begun after `delete` is complete."""
        if self._deleted:
            self._epochs += 1
            if published and self._epochs >= _EPOCHS:
                self.finish()

    def finish(self) -> None:
        """Drop older snapshots and write the receipts.

        Call this once no epoch that the pipeline could resume from holds the deleted rows.
        """
        if not self._deleted:
            return
        dropped = keep_newest(self._out, 1)
        for request, counts in self._deleted.items():
            self.requests.finish(request, _receipt(counts, dropped, self._wall_us()))
        self._deleted = {}


def _receipt(counts: Counter[str], dropped: int, at_us: int) -> dict[str, Any]:
    names = ("held", "waiting", "calls", "verdicts", "statements", "dead_letters", "texts")
    return {"erased_at": at_us, "removed": {name: counts[name] for name in names} | {"snapshots": dropped}}
