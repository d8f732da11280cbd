"""What the snapshot sink does with requests to erase calls, and when it says that they are done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from connectors.erasure.requests import Erasures
from connectors.snapshot.publish import drop_older
from connectors.snapshot.store import SnapshotStore
from flows.dataflow.snapshot_messages import EraseRows

_EPOCHS: Final = 3
"""That in which rows were deleted, one that cannot begin before Bytewax has stored it, and one for it to clean up."""


class Erasing:
    """Requests on their way: heard of, deleted from the live database, done."""

    def __init__(self, out: Path, wall_us: Callable[[], int] = lambda: time.time_ns() // 1000) -> None:
        """`out`: the run's output folder."""
        self._out, self._wall_us = out, wall_us
        self.requests = Erasures(out / "state")
        self._heard: dict[str, Counter[str]] = {}
        self._call_ids: dict[str, list[str]] = {}
        self._deleted: dict[str, Counter[str]] = {}
        self._epochs = 0

    def hear(self, message: EraseRows) -> None:
        """A shard has forgotten its share of a request."""
        self._heard.setdefault(message.request, Counter()).update(held=message.held, waiting=message.waiting)
        self._call_ids.setdefault(message.request, []).extend(message.call_ids)

    @property
    def heard(self) -> bool:
        """Whether there are rows to delete."""
        return bool(self._heard)

    def delete(self, store: SnapshotStore) -> None:
        """Delete the rows of all that was heard of; see `SnapshotStore.erase`."""
        for call_ids, counts in zip(self._call_ids.values(), self._heard.values(), strict=True):
            counts.update(store.erase(call_ids))
        store.rewrite()
        self._deleted |= self._heard
        self._heard, self._call_ids, self._epochs = {}, {}, 0

    def epoch_ended(self, *, published: bool) -> None:
        """Called at each epoch's end; `published`: a snapshot that was begun after `delete` is there."""
        if self._deleted:
            self._epochs += 1
            if published and self._epochs >= _EPOCHS:
                self.finish()

    def finish(self) -> None:
        """What was deleted is in no snapshot and in no epoch that could be gone back to: write the receipts."""
        if not self._deleted:
            return
        dropped = drop_older(self._out)
        for request, counts in self._deleted.items():
            self.requests.finish(request, _receipt(counts, dropped, self._wall_us()))
        self._deleted = {}


def _receipt(counts: Counter[str], dropped: int, at_us: int) -> dict[str, Any]:
    names = ("held", "waiting", "calls", "verdicts", "statements", "dead_letters")
    return {"erased_at": at_us, "removed": {name: counts[name] for name in names} | {"snapshots": dropped}}
