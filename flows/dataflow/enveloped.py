"""Puts the states of sources and sinks into envelopes, as those of steps are, so that connectors know of none.

Bytewax stores what `snapshot()` returns; with these wrappers that is an envelope for every state there is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bytewax.inputs import FixedPartitionedSource, Source, StatefulSourcePartition
from bytewax.outputs import FixedPartitionedSink, Sink, StatefulSinkPartition
from typing_extensions import override

from models.state import Envelopes, Migrations, reading


class _Part:
    """Packs and reads the state of one part."""

    def __init__(self, envelopes: Envelopes, whole: Any, step_id: str, part: str) -> None:
        self._envelopes = envelopes
        self.step, self._key = step_id.rpartition(".")[2], part
        self._version: int = getattr(whole, "state_version", 1)
        self._migrations: Migrations = getattr(whole, "state_migrations", {})

    def read(self, stored: bytes | None) -> Any:
        if stored is None:
            return None
        return self._envelopes.unpack(stored, self.step, self._version, self._migrations, key=self._key)

    def pack(self, state: Any) -> bytes:
        return self._envelopes.pack(self.step, self._key, self._version, state)


class _Enveloped:
    """What the wrappers of sources and sinks share."""

    def __init__(self, inner: Any, envelopes: Envelopes) -> None:
        self._inner, self._envelopes = inner, envelopes

    def list_parts(self) -> list[str]:
        """Those of the source or sink."""
        parts: list[str] = self._inner.list_parts()
        return parts

    def _built(self, step_id: str, for_part: str, stored: bytes | None) -> tuple[Any, _Part]:
        """The inner part, and what packs its state.

        Raises:
            StateError: its state cannot be used.
        """
        part = _Part(self._envelopes, self._inner, step_id, for_part)
        state = part.read(stored)
        with reading(f"step {part.step!r}"):
            return self._inner.build_part(step_id, for_part, state), part


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
        return _SourcePart(*self._built(step_id, for_part, resume_state))


class _SourcePart(StatefulSourcePartition[Any, bytes]):
    def __init__(self, inner: StatefulSourcePartition[Any, Any], part: _Part) -> None:
        self._inner, self._part = inner, part

    @override
    def next_batch(self) -> Iterable[Any]:
        return self._inner.next_batch()

    @override
    def next_awake(self) -> datetime | None:
        return self._inner.next_awake()

    @override
    def snapshot(self) -> bytes:
        return self._part.pack(self._inner.snapshot())

    @override
    def close(self) -> None:
        self._inner.close()


class EnvelopedSink(_Enveloped, FixedPartitionedSink[Any, bytes]):
    """A sink whose states are envelopes; see `EnvelopedSource`."""

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
        return _SinkPart(*self._built(step_id, for_part, resume_state))


class _SinkPart(StatefulSinkPartition[Any, bytes]):
    def __init__(self, inner: StatefulSinkPartition[Any, Any], part: _Part) -> None:
        self._inner, self._part = inner, part

    @override
    def write_batch(self, values: list[Any]) -> None:
        self._inner.write_batch(values)

    @override
    def snapshot(self) -> bytes:
        return self._part.pack(self._inner.snapshot())

    @override
    def close(self) -> None:
        self._inner.close()

    def abandon(self) -> None:
        """Close after a failure; see `flows.runtime.failures`."""
        getattr(self._inner, "abandon", self._inner.close)()


def enveloped_source(source: Source[Any], envelopes: Envelopes) -> Source[Any]:
    """The source, with its states in envelopes where it has any."""
    return EnvelopedSource(source, envelopes) if isinstance(source, FixedPartitionedSource) else source


def enveloped_sink(sink: Sink[Any], envelopes: Envelopes) -> Any:
    """The sink, with its states in envelopes where it has any."""
    return EnvelopedSink(sink, envelopes) if isinstance(sink, FixedPartitionedSink) else sink
