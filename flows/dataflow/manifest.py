"""What Bytewax stores of a large state: which segments it lies in, and what has changed since the last of them."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from xxhash import xxh3_128_digest

from models import plain
from models.state import Envelope, reading

_KEYS: Final = ("segments", "tail")
_HEAD: Final = plain.pack({"segments": ()})[1:-1]
"""How every manifest begins, behind the byte that counts its keys."""


class SegmentRef(NamedTuple):
    """A segment by its name; its size in bytes and XXH3 of 128 bits are those of the whole file."""

    name: str
    size: int
    checksum: bytes

    @classmethod
    def of(cls, name: str, data: bytes) -> SegmentRef:
        """That of a file."""
        return cls(name, len(data), xxh3_128_digest(data))


class Manifest(NamedTuple):
    """Where a state lies: parts in `segments`, in order, and then those of `tail`.

    A part is the packed state (`{"whole": state}`) or what has changed after the parts before it (`{"change": ...}`).
    """

    segments: list[SegmentRef]
    tail: list[bytes]

    def plain(self) -> dict[str, Any]:
        """As a plain value."""
        return dict(zip(_KEYS, self, strict=True))


def manifest_in(envelope: Envelope) -> Manifest | None:
    """The manifest in an envelope; None where the state itself is in it, as it was before there were segments.

    Raises:
        StateError: it is none of both.
    """
    if not envelope.body.startswith(_HEAD, 1):
        return None
    stored = envelope.content()
    with reading(envelope.place):
        segments, tail = (stored[name] for name in _KEYS)
        refs = [SegmentRef(*ref) for ref in segments]
        if not all(isinstance(part, bytes) for part in tail):
            raise TypeError("parts must be bytes")
        return Manifest(refs, list(tail))
