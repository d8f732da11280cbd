"""Reads and writes the files of the buffer: frames, one after another, each under the cut with which it is durable.

There are four kinds. `TEXTS` holds the texts of some calls, compressed, behind the hashes of their ids, which are read
at a start without the texts. `TAKEN` names texts that have been copied to the files of days, `DROPPED` names files that
the buffer has given up. A text is named by its file's number and its place in that, which no rewrite changes. `FAILED`
names calls that have failed, as what completes them may come later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from struct import Struct
from typing import BinaryIO, Final, NamedTuple

import msgspec
import numpy as np
from backports import zstd
from xxhash import xxh3_64_intdigest

from connectors.batch import U64
from connectors.texts.call_text import CallText

TEXTS, TAKEN, DROPPED, FAILED = range(4)
ERASED: Final = 0
"""The hash of what was erased: its place stays."""
_HEAD: Final = Struct("<4sBQQIIQ")
"""Mark, kind, cut, newest call (us), words, bytes of the payload, hash of words and payload."""
_MARK: Final = b"atx1"
_LEVEL: Final = 1
_decode = msgspec.msgpack.Decoder(list[CallText | None]).decode


class Frame(NamedTuple):
    """A frame without its payload.

    Attributes:
        kind: `TEXTS`, `TAKEN`, `DROPPED` or `FAILED`.
        cut: with which it is durable.
        newest: time of the newest call in it, us.
        words: of `TEXTS`: hashes of ids; of `TAKEN`: names of texts, as `named` makes them; of `DROPPED`: files; of
            `FAILED`: two for each call, the hash of its id and its time.
        at: where the payload begins in the file.
        size: bytes of the payload.
        total: hash of words and payload.
    """

    kind: int
    cut: int
    newest: int
    words: U64
    at: int
    size: int
    total: int


def key_of(call_id: str) -> int:
    """The hash by which texts are looked up; that of no call is `ERASED`."""
    return xxh3_64_intdigest(call_id.encode()) or 1


def keys_of(call_ids: Collection[str]) -> U64:
    """The hashes of ids."""
    return np.fromiter(map(key_of, call_ids), np.uint64, len(call_ids))


def named(file: int, place: int) -> int:
    """The name of a text."""
    return file << 32 | place


def name_in(name: int) -> tuple[int, int]:
    """File and place in a name."""
    return name >> 32, name & 0xFFFFFFFF


def packed(
    kind: int, cut: int, words: Sequence[int], texts: Sequence[CallText | None] = (), at: int = 0, newest: int = 0
) -> tuple[bytes, Frame]:
    """A frame of these texts, or of these names, that is to begin at a byte of its file; and what `frames_in` gives.

    `newest`: time of the newest call, where there are no texts.
    """
    payload = zstd.compress(msgspec.msgpack.encode(list(texts)), _LEVEL) if kind == TEXTS else b""
    newest = max((text.at for text in texts if text is not None), default=newest)
    keys = np.array(words, "<u8")
    total = xxh3_64_intdigest(keys.tobytes() + payload)
    head = _HEAD.pack(_MARK, kind, cut, max(newest, 0), len(keys), len(payload), total)
    frame = Frame(kind, cut, newest, keys, at + len(head) + 8 * len(keys), len(payload), total)
    return head + keys.tobytes() + payload, frame


def frames_in(file: BinaryIO) -> Iterator[Frame]:
    """The frames of a file up to the first that is not whole; their payloads are skipped."""
    end, place = file.seek(0, 2), 0
    while place + _HEAD.size <= end:
        file.seek(place)
        mark, kind, cut, newest, count, size, total = _HEAD.unpack(file.read(_HEAD.size))
        at = place + _HEAD.size + 8 * count
        if mark != _MARK or at + size > end:
            return
        yield Frame(kind, cut, newest, np.frombuffer(file.read(8 * count), "<u8"), at, size, total)
        place = at + size


def texts_of(file: BinaryIO, frame: Frame) -> list[CallText | None]:
    """The texts of a frame; none where the disk has not kept them: they are lost, and no reason to stop."""
    file.seek(frame.at)
    payload = file.read(frame.size)
    if xxh3_64_intdigest(frame.words.tobytes() + payload) != frame.total:
        return []
    return _decode(zstd.decompress(payload))
