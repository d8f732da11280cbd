"""What is stored of a large state is what has changed, and comes back whole; what is needed no more goes, in time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from connectors.segments.folder import SegmentFolder
from connectors.segments.messages import Segment
from connectors.segments.sink import SegmentPart
from flows.dataflow import stored_state
from flows.dataflow.manifest import manifest_in
from flows.dataflow.stored_state import SEGMENT_BYTES, Keeping, Loaded, StoredState, Tracked
from flows.settings import Settings
from models import plain
from models.state import Envelopes, StateError

ENVELOPES = Envelopes()
ROWS = 50_000


class Table:
    """A state of 400 kB, of which an epoch changes some rows."""

    def __init__(self, rows: np.ndarray[Any, Any] | None = None) -> None:
        self.rows = np.zeros(ROWS) if rows is None else rows

    def state(self) -> dict[str, Any]:
        return {"rows": self.rows}


class Uncompressed(Tracked):
    """So that sizes are those of the rows."""

    compressible = False


class Run:
    """One step with its folder and sink, in epochs."""

    def __init__(self, path: Path, stored: bytes | None = None, version: int = 1) -> None:
        self.folder = SegmentFolder(path)
        self.sink = SegmentPart(self.folder)
        self.keeping = Keeping(ENVELOPES, self.folder)
        self.loaded = None if stored is None else Loaded(self.keeping, "table", stored, "k")
        self.table = Table()
        if self.loaded is not None:
            state = self.loaded.state(Tracked.merge)
            self.table = Table(self.loaded.migrated(state, version, {1: dict})["rows"])
        self.kept = StoredState(self.keeping, "table", version, Uncompressed(self.table.state), self.loaded)
        self.kept.key = "k"

    def epoch(self, seed: int, rows: int = 500) -> bytes:
        """Change some rows, and end the epoch."""
        at = Random(seed).sample(range(ROWS), rows)
        self.table.rows[at] = seed
        self.sink.write_batch([*self.kept.due(), None])
        stored = self.kept.stored()
        self.sink.snapshot()
        return stored


def written(stored: bytes, path: Path) -> list[str]:
    """The segments that a stored state names."""
    manifest = manifest_in(ENVELOPES.read(stored, "table"))
    assert manifest is not None
    folder = SegmentFolder(path)
    assert all(folder.size(ref.name) == ref.size for ref in manifest.segments)
    return [ref.name for ref in manifest.segments]


def test_an_epoch_stores_what_changed_in_it(tmp_path: Path) -> None:
    run = Run(tmp_path / "s")
    assert len(run.epoch(1)) > 8 * ROWS, "at first all of it"
    for seed in range(2, 20):
        before = {path: path.stat().st_size for path in (tmp_path / "s").glob("*")}
        stored = run.epoch(seed, 100)
        fresh = sum(path.stat().st_size for path in (tmp_path / "s").glob("*") if path not in before)
        if seed > 2:
            assert len(stored) < 80_000
            assert fresh < 80_000


def test_it_is_what_it_was_after_any_epoch(tmp_path: Path) -> None:
    """Also over many resumes, and through compactions."""
    path = tmp_path / "s"
    run = Run(path)
    whole = set[str]()
    for seed in range(300):
        stored = run.epoch(seed)
        whole.add(written(stored, path)[0] if written(stored, path) else "")
        if seed % 7 == 0:
            rows = run.table.rows.copy()
            run = Run(path, stored)
            np.testing.assert_array_equal(run.table.rows, rows)
    assert len(whole) > 3, "it was written whole again a few times"


def test_a_replaced_segment_is_deleted_once_the_epoch_without_it_is_stored(tmp_path: Path) -> None:
    """Not before: a crash would resume from the epoch before."""
    path = tmp_path / "s"
    run = Run(path)
    earlier: bytes | None = None
    deleted = 0
    for seed in range(200):
        if earlier is not None:
            names = {file.name.removesuffix(".segment") for file in path.glob("*")}
            at = Random(seed).sample(range(ROWS), 500)
            run.table.rows[at] = seed
            run.sink.write_batch([*run.kept.due(), None])
            # This epoch is not stored yet: the state of the one before must still be whole.
            Loaded(run.keeping, "table", earlier, "k").state(Tracked.merge)
            deleted += len(names - {file.name.removesuffix(".segment") for file in path.glob("*")})
            earlier = run.kept.stored()
            run.sink.snapshot()
        else:
            earlier = run.epoch(seed)
    assert deleted > 5
    assert len(list(path.glob("*"))) <= len(written(earlier or b"", path)) + 20


def test_a_small_state_is_stored_whole_and_needs_no_file(tmp_path: Path) -> None:
    table = {"rows": np.zeros(100)}
    kept = StoredState(Keeping(ENVELOPES, SegmentFolder(tmp_path)), "table", 1, Tracked(lambda: table))
    for _ in range(50):
        assert kept.due() == []
        stored = kept.stored()
        manifest = manifest_in(ENVELOPES.read(stored, "table"))
        assert manifest is not None
        assert manifest.segments == []
        assert len(manifest.tail) == 1


def test_what_must_be_forgotten_is_gone_with_the_next_epoch(tmp_path: Path) -> None:
    path = tmp_path / "s"
    run = Run(path)
    for seed in range(20):
        run.table.rows[7] = 123456789.0
        run.epoch(seed)
    secret = np.float64(123456789.0).tobytes()
    assert any(secret in file.read_bytes() for file in path.glob("*"))
    run.table.rows[7] = 0.0
    run.kept.renew()
    stored = run.epoch(21)
    run.epoch(22)
    assert secret not in stored
    assert not [file for file in path.glob("*") if secret in file.read_bytes()]


def test_a_migrated_state_is_stored_whole_before_changes_follow_it(tmp_path: Path) -> None:
    """Changes of the new version cannot follow a state of the old one."""
    path = tmp_path / "s"
    run = Run(path)
    for seed in range(20):
        stored = run.epoch(seed)
    old = written(stored, path)
    later = Run(path, stored, version=2)
    np.testing.assert_array_equal(later.table.rows, run.table.rows)
    stored = later.epoch(21)
    assert not set(written(stored, path)) & set(old)
    later.epoch(22)
    assert not {file.name.removesuffix(".segment") for file in path.glob("*")} & set(old)
    np.testing.assert_array_equal(Run(path, stored, version=2).table.rows[:0], [])


def test_a_state_from_before_segments_is_read_and_put_into_some(tmp_path: Path) -> None:
    path, rows = tmp_path / "s", np.arange(float(ROWS))
    run = Run(path, ENVELOPES.pack("table", "k", 1, {"rows": rows}))
    np.testing.assert_array_equal(run.table.rows, rows)
    assert written(run.epoch(1), path)


Damage = Callable[[Path, bytes], bytes]


def _flip(path: Path, stored: bytes) -> bytes:
    file = sorted(path.glob("*"))[1]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    return stored


def _cut(path: Path, stored: bytes) -> bytes:
    file = min(path.glob("*"))
    file.write_bytes(file.read_bytes()[:-1])
    return stored


def _lose(path: Path, stored: bytes) -> bytes:
    min(path.glob("*")).unlink()
    return stored


def _swap(path: Path, stored: bytes) -> bytes:
    one, other, *_ = sorted(path.glob("*"))
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    return stored


def _made_up(body: Any) -> Damage:
    return lambda _, stored: ENVELOPES.pack("table", "k", 1, body)


@pytest.mark.parametrize(
    "damage",
    [
        _flip,
        _cut,
        _lose,
        _swap,
        _made_up({"segments": (), "tail": ()}),
        _made_up({"segments": (), "tail": (plain.pack({"change": ()}),)}),
        _made_up({"segments": (), "tail": (7,)}),
        _made_up({"segments": (("../../etc/passwd", 1, b""),), "tail": ()}),
        _made_up({"segments": (("a", 1, b""),), "tail": ()}),
        _made_up({"segments": ((1, 2),), "tail": ()}),
        _made_up({"segments": 7, "other": ()}),
        _made_up({"segments": (), "tail": (plain.pack({"whole": {"rows": 1}}), plain.pack({"change": (3, 9, 9)}))}),
    ],
)
def test_damaged_or_made_up_parts_are_one_sentence(tmp_path: Path, damage: Damage) -> None:
    path = tmp_path / "s"
    run = Run(path)
    for seed in range(20):
        stored = run.epoch(seed)
    with pytest.raises(StateError) as refused:
        Run(path, damage(path, stored))
    assert "\n" not in str(refused.value)


def test_names_of_segments_are_used_once(tmp_path: Path) -> None:
    """Also after a crash, when the same changes come again."""
    names: list[str] = []
    for _ in range(3):
        run = Run(tmp_path / "s")
        for seed in range(5):
            run.table.rows[:] = seed
            segments = run.kept.due()
            names += [segment.name for segment in segments if segment.data]
            run.sink.write_batch(list[Segment | None](segments))
            run.kept.stored()
    assert len(set(names)) == len(names) > 5


def test_the_sizes_are_those_of_the_documents() -> None:
    """docs/architecture.md and docs/reference.md give them."""
    assert stored_state._SMALL * SEGMENT_BYTES == 32 * 1024
    assert Settings().recovery.segment_kb * 1024 == SEGMENT_BYTES
