"""Stores the state of one step or sink so that an epoch costs what changed in it.

What Bytewax stores is a manifest. A small state rides in it whole. Of a large one, the manifest names segments, files
that are written once: first the whole state, then what changed after it. What changed after the last segment rides in
the manifest, until it is long enough for a segment of its own. Once the changes weigh as much as the state, it is
written whole again, and the segments before are deleted when the epoch that no longer names them is stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from secrets import token_hex
from typing import Any, Final, NamedTuple, Protocol

from xxhash import xxh3_64_intdigest

from connectors.metrics import METRICS
from connectors.segments.folder import SegmentFolder
from connectors.segments.messages import Segment
from connectors.segments.sink import SegmentPart
from flows.dataflow.manifest import Manifest, SegmentRef, manifest_in
from flows.dataflow.parts import packed_part, part_in
from models import changes
from models.state import Envelopes, Migrations, StateError, check_reachable, migrated, reading

SEGMENT_BYTES: Final = 64 * 1024
"""By default, more bytes than these make a segment: each costs a file and an `fsync`."""
_SMALL: Final = 1 / 2
"""A state of up to this share of a segment is stored whole at every epoch."""
_FEWEST: Final = 4
"""Changes of up to so many segments are never compacted."""
_BYTES: Final = 80
"""A change of one call has about so many."""


class Keeping(NamedTuple):
    """How states are kept: sealed by `envelopes`; where there is a folder, as segments of some `segment_bytes`."""

    envelopes: Envelopes
    folder: SegmentFolder | None = None
    segment_bytes: int = SEGMENT_BYTES


class ChangingState(Protocol):
    """A state, and what has changed in it since it was last stored. All are plain values that may be packed at once.

    Where `unstored` is negative, only the whole `state` will do.
    """

    compressible: bool
    """Whether the state is mostly tables of counts."""

    @property
    def unstored(self) -> int:
        """About how many changes wait, or a negative number."""
        ...

    def state(self) -> Any:
        """All of it; changes count from here on."""
        ...

    def changes(self) -> Any:
        """What has changed since the last of both, for `Merge`."""
        ...


Merge = Callable[[Any, list[Any]], Any]
"""Puts changes behind a state."""


class Tracked:
    """A source that compares whole states; for a model that does not know what has changed in it."""

    compressible = True
    merge: Final[Merge] = staticmethod(changes.merged)

    def __init__(self, state: Callable[[], Any]) -> None:
        self._state = state
        self._tracker: changes.Tracker | None = None

    @property
    def unstored(self) -> int:
        """Changes are looked for when they are asked for; at first, and after a resume, there is nothing to compare."""
        return -1 if self._tracker is None else 0

    def state(self) -> Any:
        """The state, which is then remembered."""
        state = self._state()
        self._tracker = changes.Tracker(state)
        return state

    def changes(self) -> Any:
        """What has changed since the last look."""
        assert self._tracker is not None, "changes are asked for only where a state was stored"  # noqa: S101
        return self._tracker.changes(self._state())


class Loaded:
    """A state as it was stored: `state` puts it together, `migrated` brings it up to date."""

    def __init__(
        self,
        keeping: Keeping,
        step: str,
        stored: bytes,
        key: str | None,
        version: int | None = None,
        migrations: Migrations | None = None,
    ) -> None:
        """Read the manifest and its segments.

        Args:
            keeping: as it was stored.
            step: for which it must be.
            stored: what `StoredState.stored` gave.
            key: for which it must be; None for any.
            version: to which it is to be migrated; None for none.
            migrations: with which.

        Raises:
            StateError: no migration starts from its version, or a part is missing, damaged, of another state, or needs
                a folder that is not there.
        """
        envelopes, folder, _ = keeping
        envelope = envelopes.read(stored, step, key)
        self.key, self.found, self.place = envelope.key, envelope.version, envelope.place
        if version is not None:
            # Before its parts are put together, which a later version may store otherwise.
            check_reachable(self.found, version, migrations or {}, self.place)
        self.manifest = manifest_in(envelope)
        self._parts: list[Any] = []
        if self.manifest is None:
            self._parts = [{"whole": envelope.content()}]
            return
        for ref in self.manifest.segments:
            if folder is None:
                raise StateError(f"{self.place}: stored parts must be readable; this run has no folder for them")
            place = str(folder.file(ref.name))
            data = folder.read(ref.name)
            if SegmentRef.of(ref.name, data) != ref:
                raise StateError(f"{place}: a part of the stored state must be as it was written; it is damaged")
            part = envelopes.read(data, step, self.key, place)
            if part.version != self.found:
                raise StateError.of_version(place, self.found, part.version)
            with reading(place):
                self._parts += map(part_in, part.content()["parts"])
        with reading(self.place):
            self._parts += map(part_in, self.manifest.tail)

    def state(self, merge: Merge) -> Any:
        """The state as it was stored.

        Raises:
            StateError: the parts do not fit together.
        """
        with reading(self.place):
            base = max(at for at, part in enumerate(self._parts) if "whole" in part)
            return merge(self._parts[base]["whole"], [part["change"] for part in self._parts[base + 1 :]])

    def goes_on(self, version: int) -> bool:
        """Whether changes may follow what is stored: it is of this version, and of the present form."""
        return self.manifest is not None and self.found == version

    def migrated(self, state: Any, version: int, migrations: Migrations) -> Any:
        """A state of the version that was found as one of `version`."""
        return migrated(state, self.found, version, migrations, self.place)


class StoredState:
    """The stored form of one state. Give segments from `due` to the sink of segments, in the same epoch."""

    def __init__(
        self,
        keeping: Keeping,
        step: str,
        version: int,
        source: ChangingState,
        loaded: Loaded | None = None,
    ) -> None:
        """Begin with nothing, or with what was loaded.

        Args:
            keeping: how; without a folder for segments the state is stored whole at every epoch.
            step: the step's name.
            version: of the state.
            source: the state.
            loaded: what the state was made from.
        """
        self.key = "" if loaded is None else loaded.key
        self._envelopes, self._step, self._version, self._source = keeping.envelopes, step, version, source
        self._allowed, self._segment = keeping.folder is not None, keeping.segment_bytes
        self._refs: list[SegmentRef] = []
        self._tail: list[bytes] = []
        self._replaced: list[str] = []
        self._whole = 0
        self._emitted = 0
        """Bytes in segments since the last epoch's end: the next one is larger, so that an epoch has few."""
        self._renew = False
        self._token, self._count = token_hex(8), 0
        if loaded is not None:
            self._go_on(loaded)

    def renew(self) -> None:
        """Store the whole state next, and delete what is stored now: it holds what must be forgotten."""
        self._renew = True

    def due(self) -> list[Segment]:
        """Segments that are due, and names of those that are needed no more. Call it when messages were taken in."""
        if not self._allowed:
            return []
        stored = bool(self._refs or self._tail)
        if self._renew or (stored and self._source.unstored < 0) or (self._refs and self._changed > self._most):
            self._put(whole=True)
        elif stored and self._source.unstored * _BYTES + self._waits > max(self._segment, self._emitted):
            self._put(whole=False)
        return self._flushed()

    def stored(self) -> bytes:
        """What Bytewax is to store, at the epoch's end."""
        self._put(whole=self._needs_whole)
        return self._sealed()

    def stored_with(self, part: SegmentPart) -> bytes:
        """As `stored`, for a sink that writes its segments itself, now."""
        self._put(whole=self._needs_whole or self._changed > self._most)
        part.write_batch([*self._flushed()])
        part.snapshot()
        return self._sealed()

    def _sealed(self) -> bytes:
        self._emitted = 0
        manifest = Manifest(self._refs, self._tail)
        sealed = self._envelopes.pack(self._step, self.key, self._version, manifest.plain())
        METRICS.state_bytes(self._step, str(id(self)), len(sealed) + sum(ref.size for ref in self._refs))
        METRICS.state_written(self._step, len(sealed))
        return sealed

    def _flushed(self) -> list[Segment]:
        """The tail as a segment, if it is long enough, and names that are to be deleted, if there are any."""
        replaced, self._replaced = tuple(self._replaced), []
        if self._waits <= self._segment:
            return [Segment("", b"", replaced)] if replaced else []
        self._count += 1
        kind = "changes" if self._refs else "whole"
        name = f"{self._step}-{_plain_name(self.key)}-{self._token}-{self._count:06}-{kind}"
        data = self._envelopes.pack(self._step, self.key, self._version, {"parts": self._tail})
        self._refs, self._tail = [*self._refs, SegmentRef.of(name, data)], []
        METRICS.state_written(self._step, len(data))
        self._emitted += len(data)
        return [Segment(name, data, replaced)]

    def _put(self, *, whole: bool) -> None:
        """Add what has changed to the tail, or begin again with the whole state."""
        value = {"whole": self._source.state()} if whole else {"change": self._source.changes()}
        part = packed_part(value, compress=self._source.compressible)
        if whole:
            self._replaced += [ref.name for ref in self._refs]
            self._refs, self._tail, self._whole, self._renew = [], [], len(part), False
        self._tail.append(part)

    @property
    def _needs_whole(self) -> bool:
        if not self._allowed or self._renew or self._source.unstored < 0:
            return True
        return not self._refs and self._whole <= _SMALL * self._segment

    @property
    def _waits(self) -> int:
        """Bytes in the tail."""
        return sum(map(len, self._tail))

    @property
    def _changed(self) -> int:
        """Bytes of changes after the whole state."""
        return sum(ref.size for ref in self._refs) + self._waits - self._whole

    @property
    def _most(self) -> int:
        """So many bytes of changes are compacted: 1/2 to 1 of the state, so that shards do not all do it at once."""
        share = 0.5 + xxh3_64_intdigest(self.key.encode()) / 2**65
        return max(_FEWEST * self._segment, int(share * self._whole))

    def _go_on(self, loaded: Loaded) -> None:
        manifest = loaded.manifest or Manifest([], [])
        self._refs, self._tail = list(manifest.segments), list(manifest.tail)
        self._renew = not loaded.goes_on(self._version)
        self._whole = self._refs[0].size if self._refs else sum(map(len, self._tail))


def _plain_name(key: str) -> str:
    return re.sub("[^a-z0-9_]", "_", key.lower())
