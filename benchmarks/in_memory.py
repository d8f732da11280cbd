"""Connects Bytewax to memory: a source of list items, a sink that only counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from typing_extensions import override


class ListSource(FixedPartitionedSource[Any, int]):
    """One partition that emits `items`, `batch` at a time."""

    def __init__(self, items: Sequence[Any], batch: int) -> None:
        self._items = items
        self._batch = batch

    @override
    def list_parts(self) -> list[str]:
        return ["memory"]

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> StatefulSourcePartition[Any, int]:
        return _List(self._items, self._batch)


class _List(StatefulSourcePartition[Any, int]):
    def __init__(self, items: Sequence[Any], batch: int) -> None:
        self._items = items
        self._batch = batch
        self._at = 0

    @override
    def next_batch(self) -> Sequence[Any]:
        if self._at >= len(self._items):
            raise StopIteration
        start, self._at = self._at, self._at + self._batch
        return self._items[start : self._at]

    @override
    def snapshot(self) -> int:
        return self._at


class CountingSink(DynamicSink[Any]):
    """Counts items, and keeps the last one."""

    def __init__(self) -> None:
        self.items = 0
        self.last: Any = None

    @override
    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        return _Counting(self)


class _Counting(StatelessSinkPartition[Any]):
    def __init__(self, sink: CountingSink) -> None:
        self._sink = sink

    @override
    def write_batch(self, items: list[Any]) -> None:
        self._sink.items += len(items)
        if items:
            self._sink.last = items[-1]
