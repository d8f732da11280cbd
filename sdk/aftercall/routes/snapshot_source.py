"""Reads recommendations from the DuckDB snapshot of a pipeline, again whenever a newer one is published."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from aftercall.routes.recommendations import Recommended, weights_of
from aftercall.routes.table import Table

_LINK: Final = "outcomes.duckdb"
_NEWEST: Final = """
SELECT task_type, seq, recommendation_id, epoch_us(valid_until), segment, model, config, weight
FROM recommendations
QUALIFY seq = max(seq) OVER (PARTITION BY task_type)
ORDER BY task_type, segment
"""


class SnapshotSource:
    """The snapshot that `open_snapshot` opens; needs the package duckdb, of the extra `snapshot`.

    Newer recommendations come with newer snapshots, every `snapshot.every` of the pipeline.

    Args:
        path: as of `open_snapshot`: the folder of a run, or `outcomes.duckdb` in it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    def open(self) -> SnapshotReader:
        """A reader that has seen nothing yet."""
        return SnapshotReader(self._path)


class SnapshotReader:
    """Opens a snapshot when it is another one than before."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def poll(self, table: Table, timeout_s: float) -> str | None:
        """As `Reader` says; without a snapshot there is something wrong."""
        from aftercall.snapshot import NoSnapshotError, open_snapshot

        state = _state(self._path)
        if state is None or state != self._seen:
            try:
                with open_snapshot(self._path) as snapshot:
                    table.replace(_recommendations(snapshot.execute(_NEWEST).fetchall()))
            except NoSnapshotError as wrong:
                time.sleep(timeout_s)
                return str(wrong)
            self._seen = state
        time.sleep(timeout_s)
        return None

    def close(self) -> None:
        """Nothing is held open."""


def _state(path: str) -> tuple[int, int, int] | None:
    """What tells one snapshot from the next: the file at the end of the link."""
    link = os.path.join(path, _LINK) if os.path.isdir(path) else path  # noqa: PTH112, PTH118 - every 250 ms
    try:
        found = os.stat(link)  # noqa: PTH116 - every 250 ms
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _recommendations(rows: Iterable[tuple[Any, ...]]) -> Iterator[Recommended]:
    for (task_type, seq, id_, until), of_task in groupby(rows, itemgetter(0, 1, 2, 3)):
        segments = {
            segment: weights_of([{"model": row[5], "config": row[6], "weight": row[7]} for row in of_segment])
            for segment, of_segment in groupby(of_task, itemgetter(4))
        }
        yield Recommended(task_type, seq, id_, until / 1e6, segments)
