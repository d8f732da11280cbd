"""Segments that stored states need must be there; those that no state names go; with a key they are sealed too."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from connectors.segments.folder import SegmentFolder
from connectors.segments.sink import SegmentPart
from flows.dataflow.manifest import manifest_in
from flows.dataflow.stored_state import Keeping, Loaded, StoredState, Tracked
from flows.runtime.state_store import open_store, sweep
from models.state import Envelopes, StateError

ANYONE: Final = Envelopes()
KEYED: Final = Envelopes(b"s" * 32)
EPOCHS: Final = 6


def keeping(state: Path, envelopes: Envelopes = ANYONE) -> Keeping:
    return Keeping(envelopes, SegmentFolder(state / "segments"), 1024)


def file(state: Path) -> Path:
    return state / "recovery" / "part-0.sqlite3"


def made(state: Path) -> np.ndarray:
    """A store as a killed run leaves it: epochs 1 to 6, of which 5 is the last that is stored whole."""
    open_store(state, keeping(state), begun=False)
    rows, sink = np.random.default_rng(1).random(1000), SegmentPart(SegmentFolder(state / "segments"))
    kept = StoredState(keeping(state), "table", 1, Tracked(lambda: {"rows": rows}))
    kept.key = "k"
    with closing(sqlite3.connect(file(state))) as store, store:
        store.execute("INSERT INTO exs (ex_num, worker_count, resume_epoch) VALUES (0, 1, 1)")
        store.execute("INSERT INTO fronts (ex_num, worker_index, worker_frontier) VALUES (0, 0, ?)", [EPOCHS])
        for epoch in range(1, EPOCHS + 1):
            rows[epoch * 10 : epoch * 10 + 200] += 1
            if epoch == 3:
                kept.renew()  # a compaction, so that segments of epoch 2 are deleted
            sink.write_batch([*kept.due(), None])
            stored = kept.stored()
            sink.snapshot()
            store.execute(
                "INSERT INTO snaps VALUES ('2026-01-01', 'flow.table', 'k', ?, ?)", [epoch, pickle.dumps(stored, 4)]
            )
            if epoch == EPOCHS - 1:
                expected = rows.copy()
    return expected


def stored(state: Path, epoch: int = EPOCHS - 1) -> bytes:
    with closing(sqlite3.connect(file(state))) as store:
        (data,) = store.execute("SELECT ser_change FROM snaps WHERE snap_epoch = ?", [epoch]).fetchone()
    found: bytes = pickle.loads(data)
    return found


def rows_of(state: Path, envelopes: Envelopes = ANYONE) -> np.ndarray:
    rows: np.ndarray = Loaded(keeping(state, envelopes), "table", stored(state), "k").state(Tracked.merge)["rows"]
    return rows


def names(state: Path, epoch: int = EPOCHS - 1, envelopes: Envelopes = ANYONE) -> set[str]:
    manifest = manifest_in(envelopes.read(stored(state, epoch), "table"))
    assert manifest is not None
    return {ref.name for ref in manifest.segments}


def files(state: Path) -> set[str]:
    return {path.name.removesuffix(".segment") for path in (state / "segments").iterdir()}


def test_segments_of_an_epoch_that_has_passed_may_be_gone(tmp_path: Path) -> None:
    expected = made(tmp_path)
    assert names(tmp_path, 2) - files(tmp_path), "the row of epoch 2 is still there, its segments are not"
    open_store(tmp_path, keeping(tmp_path), begun=True)
    np.testing.assert_array_equal(rows_of(tmp_path), expected)


@pytest.mark.parametrize("clean", [lambda s: open_store(s, keeping(s), begun=True), lambda s: sweep(s, keeping(s))])
def test_what_no_state_names_is_deleted(tmp_path: Path, clean: Callable[[Path], object]) -> None:
    expected = made(tmp_path)
    for name in ("left-over.segment", "foreign.txt"):
        (tmp_path / "segments" / name).write_bytes(b"1")
    clean(tmp_path)
    assert files(tmp_path) == names(tmp_path), "also those of the epoch that never ended"
    np.testing.assert_array_equal(rows_of(tmp_path), expected)


@pytest.mark.parametrize("cut", [True, False])
def test_a_segment_that_is_missing_or_short_is_refused_before_anything_is_loaded(tmp_path: Path, cut: bool) -> None:  # noqa: FBT001
    made(tmp_path)
    segment = tmp_path / "segments" / f"{min(names(tmp_path))}.segment"
    if cut:
        segment.write_bytes(segment.read_bytes()[:-1])
    else:
        segment.unlink()
    with pytest.raises(StateError) as refused:
        open_store(tmp_path, keeping(tmp_path), begun=True)
    assert str(segment) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_segments_are_sealed_with_the_key_once(tmp_path: Path) -> None:
    expected = made(tmp_path)
    before = files(tmp_path)
    with pytest.raises(StateError, match="--accept-unsealed-state"):
        open_store(tmp_path, keeping(tmp_path, KEYED), begun=True)
    assert files(tmp_path) == before
    open_store(tmp_path, keeping(tmp_path, KEYED), begun=True, unsealed=True)
    np.testing.assert_array_equal(rows_of(tmp_path, KEYED), expected)
    assert not files(tmp_path) & before, "those without a key are gone"
    open_store(tmp_path, keeping(tmp_path, KEYED), begun=True)
    with pytest.raises(StateError, match=r"service\.state_key_file"):
        open_store(tmp_path, keeping(tmp_path), begun=True)
