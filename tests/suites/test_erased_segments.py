"""An erased call is in no segment and no manifest once the next epoch is stored, though it lay in files before."""

from __future__ import annotations

import struct
from pathlib import Path
from uuid import UUID

import pytest

from models.messages import Erasure
from suites.steps import Running, stream

FINE = tuple(part / 40 for part in range(40))
"""Small batches, so that most of a shard does not change between two epochs."""


def forms(key: int, call_id: str) -> list[bytes]:
    """The bytes in which a call may be named: its id, its id as a UUID in columns, its key."""
    words: list[bytes] = []
    if len(call_id) == 36:
        number = UUID(call_id).int
        words = [struct.pack("<Q", number >> 64), struct.pack("<Q", number & (1 << 64) - 1)]
    return [call_id.encode(), struct.pack("<Q", key), *words]


def found(rows: dict[str, bytes], folder: Path, names: list[bytes]) -> set[bytes]:
    held = [*rows.values(), *(path.read_bytes() for path in folder.glob("*"))]
    return {name for name in names if any(name in data for data in held)}


def test_what_is_erased_is_gone_from_every_file_with_the_next_epoch(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    running, held, erased = Running("join", folder=folder), set[bytes](), list[bytes]()
    for key, message in stream(FINE).into("join"):
        # Every message is an epoch of its own; the first record of the next one proves that it is stored.
        if isinstance(message, Erasure):
            now = [name for call in message.calls for name in forms(*call)]
            held |= found({}, folder, now)
            erased += now
        running.feed([(key, message)])
        rows = running.states().rows
        if not isinstance(message, Erasure):
            assert found(rows, folder, erased) == set()
            erased.clear()  # an outcome that comes now names the call again
    assert held, "some lay in a file, or the test shows nothing"


@pytest.mark.parametrize("call_id", ["c", "60f04836-e5b0-494f-8dbd-be1a129615ba"])
def test_the_forms_are_those_of_stored_columns(call_id: str) -> None:
    assert len(forms(1, call_id)) == (4 if "-" in call_id else 2)
