"""An erased call is in no segment and no manifest once the next epoch is stored, though it lay in files before."""

from __future__ import annotations

import struct
from pathlib import Path
from uuid import UUID

import pytest

from models.messages import Erasure
from suites.steps import Keyed, Running, stream
from suites.test_steps import CUTS


def forms(key: int, call_id: str) -> list[bytes]:
    """The bytes in which a call may be named: its id, its id as a UUID in columns, its key."""
    words: list[bytes] = []
    if len(call_id) == 36:
        number = UUID(call_id).int
        words = [struct.pack("<Q", number >> 64), struct.pack("<Q", number & (1 << 64) - 1)]
    return [call_id.encode(), struct.pack("<Q", key), *words]


def found(running: Running, rows: dict[str, bytes], folder: Path, names: list[bytes]) -> set[bytes]:
    held = [*rows.values(), *(path.read_bytes() for path in folder.glob("*"))]
    return {name for name in names if any(name in data for data in held)}


def test_what_is_erased_is_gone_from_every_file(tmp_path: Path) -> None:
    folder = tmp_path / "segments"
    running, names = Running("join", folder=folder), list[bytes]()
    messages = stream(CUTS).into("join")
    erased_calls = [call for _, message in messages if isinstance(message, Erasure) for call in message.calls]
    assert len(erased_calls) >= 2
    every_name = [name for key, call_id in erased_calls for name in forms(key, call_id)]
    before = set[bytes]()
    epoch: list[Keyed] = []
    for at, (key, message) in enumerate(messages):
        if isinstance(message, Erasure):
            running.feed(epoch)
            before |= found(running, running.states().rows, folder, every_name)
            epoch = []
            names += [name for call in message.calls for name in forms(*call)]
        epoch.append((key, message))
        if at % 40 == 39 or at == len(messages) - 1:
            running.feed(epoch)
            running.states()
            epoch = []
    assert before, "some lay in a file, or the test shows nothing"
    # The next epoch, whose first record proves that the one before is stored.
    running.feed(stream(CUTS).into("join")[-12:])
    assert found(running, running.states().rows, folder, names) == set()


@pytest.mark.parametrize("call_id", ["c", "60f04836-e5b0-494f-8dbd-be1a129615ba"])
def test_the_forms_are_those_of_stored_columns(call_id: str) -> None:
    assert len(forms(1, call_id)) == (4 if "-" in call_id else 2)
