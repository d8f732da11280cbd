"""Puts the states of sources and sinks into envelopes, as those of steps are, so that connectors know of none.

Bytewax stores what `snapshot()` returns; with these wrappers that is an envelope for every state there is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Any

from bytewax.inputs import FixedPartitionedSource, Source, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, Sink, StatefulSinkPartition
from typing_extensions import override

from connectors.segments.sink import SegmentPart
from flows.dataflow.stored_state import Keeping, Loaded, StoredState, Tracked
from models.state import Envelopes, Migrations, reading


class _Kind:
    """What is known of the states of a source or sink."""

    def __init__(self, whole: Any, step_id: str) -> None:
        self.step = step_id.rpartition(".")[2]
        self.version: int = getattr(whole, "state_version", 1)
        self.migrations: Migrations = getattr(whole, "state_migrations", {})


class _Enveloped:
    """What the wrappers of sources and sinks share."""

    def __init__(self, inner: Any, envelopes: Envelopes) -> None:
        self._inner, self._envelopes = inner, envelopes

    def list_parts(self) -> list[str]:
        """Those of the source or sink."""
        parts: list[str] = self._inner.list_parts()
        return parts


class EnvelopedSource(_Enveloped, FixedPartitionedSource[Any, bytes]):
    """A source whose states are envelopes.

    The source may have `state_version` (default 1) and `state_migrations` (default none).
    """

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> _SourcePart:
        """Build the part.

        Raises:
            StateError: its state cannot be used.
        """
        kind, state = _Kind(self._inner, step_id), None
        if resume_state is not None:
            state = self._envelopes.unpack(resume_state, kind.step, kind.version, kind.migrations, key=for_part)
        with reading(f"step {kind.step!r}"):
            inner = self._inner.build_part(step_id, for_part, state)
        return _SourcePart(inner, partial(self._envelopes.pack, kind.step, for_part, kind.version))


class _SourcePart(StatefulSourcePartition[Any, bytes]):
    def __init__(self, inner: StatefulSourcePartition[Any, Any], pack: Callable[[Any], bytes]) -> None:
        self._inner, self._pack = inner, pack

    @override
    def next_batch(self) -> Iterable[Any]:
        return self._inner.next_batch()

    @override
    def next_awake(self) -> datetime | None:
        return self._inner.next_awake()

    @override
    def snapshot(self) -> bytes:
        return self._pack(self._inner.snapshot())

    @override
    def close(self) -> None:
        self._inner.close()


class EnvelopedSink(_Enveloped, FixedPartitionedSink[Any, bytes]):
    """A sink whose states are envelopes, and large ones segments; see `EnvelopedSource`."""

    def __init__(self, inner: FixedPartitionedSink[Any, Any], keeping: Keeping) -> None:
        super().__init__(inner, keeping.envelopes)
        self._keeping = keeping

    @override
    def part_fn(self, item_key: str) -> int:
        """That of the sink."""
        number: int = self._inner.part_fn(item_key)
        return number

    @override
    def build_part(self, step_id: str, for_part: str, resume_state: bytes | None) -> _SinkPart:
        """Build the part.

        Raises:
            StateError: its state cannot be used.
        """
        kind = _Kind(self._inner, step_id)
        loaded, state = None, None
        if resume_state is not None:
            loaded = Loaded(self._keeping, kind.step, resume_state, for_part, kind.version, kind.migrations)
            state = loaded.state(Tracked.merge)
            state = loaded.migrated(state, kind.version, kind.migrations)
        with reading(f"step {kind.step!r}"):
            inner = self._inner.build_part(step_id, for_part, state)
        kept = StoredState(self._keeping, kind.step, kind.version, Tracked(inner.snapshot), loaded)
        kept.key = for_part
        folder = self._keeping.folder
        return _SinkPart(inner, kept, None if folder is None else SegmentPart(folder))


class _SinkPart(StatefulSinkPartition[Any, bytes]):
    def __init__(self, inner: StatefulSinkPartition[Any, Any], kept: StoredState, segments: SegmentPart | None) -> None:
        self._inner, self._kept, self._segments = inner, kept, segments

    @override
    def write_batch(self, values: list[Any]) -> None:
        self._inner.write_batch(values)

    @override
    def snapshot(self) -> bytes:
        return self._kept.stored() if self._segments is None else self._kept.stored_with(self._segments)

    @override
    def close(self) -> None:
        self._inner.close()

    def abandon(self) -> None:
        """Close after a failure; see `flows.runtime.failures`."""
        getattr(self._inner, "abandon", self._inner.close)()


def enveloped_source(source: Source[Any], envelopes: Envelopes) -> Source[Any]:
    """The source, with its states in envelopes where it has any."""
    return EnvelopedSource(source, envelopes) if isinstance(source, FixedPartitionedSource) else source


def enveloped_sink(sink: Sink[Any], keeping: Keeping) -> Any:
    """The sink, with its states in envelopes, and large ones as segments in a folder, where it has any."""
    return EnvelopedSink(sink, keeping) if isinstance(sink, FixedPartitionedSink) else sink
