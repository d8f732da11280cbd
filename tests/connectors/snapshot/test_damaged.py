"""A damaged live database is refused in a sentence that names it; DuckDB's checksums and the cut find all damage."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import duckdb
import pytest

from connectors.snapshot.errors import SnapshotError, is_unusable, naming
from connectors.snapshot.store import SnapshotStore

AT = 1_760_000_000_000_000
CALLS, HEADERS = 3_000, 3 * 4096
"""`HEADERS`: bytes before the first block."""


def commit(store: SnapshotStore, cut: int) -> None:
    ids = (f"c{number}" for number in range(cut * CALLS, (cut + 1) * CALLS))
    store.append_calls([(name, AT, "t", "m", "v", None, None, 1.5, 0.25, 7, None, None) for name in ids])
    store.commit(cut)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one cut in blocks, and two more in the write-ahead log, as a kill leaves them."""
    folder, copy = tmp_path_factory.mktemp("store"), tmp_path_factory.mktemp("copy")
    store = SnapshotStore(folder)
    commit(store, 1)
    store.close()
    store = SnapshotStore(folder)
    commit(store, 2)
    commit(store, 3)
    shutil.copytree(folder / "state", copy / "state", ignore=shutil.ignore_patterns("spill"))
    store.close()
    sizes = [(copy / "state" / name).stat().st_size for name in ("live.duckdb", "live.duckdb.wal")]
    assert min(sizes) > 2 * HEADERS
    return copy


def published(folder: Path, cut: int = 3) -> int:
    """Go on from a cut, and count what is published."""
    store = SnapshotStore(folder)
    try:
        store.resume(cut)
        file = store.publish({}, {"calls": []}, {"calls": []})
    finally:
        store.close()
    with duckdb.connect(str(file), read_only=True) as snapshot:
        return int(snapshot.execute("SELECT count(*) FROM calls").fetchall()[0][0])


def test_what_is_whole_is_published(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "whole")
    assert published(tmp_path / "whole") == 3 * CALLS


@pytest.mark.parametrize("name", ["live.duckdb", "live.duckdb.wal"])
def test_every_bit_that_flips_is_found_and_the_sentence_names_the_live_database(
    name: str, stopped: Path, tmp_path: Path
) -> None:
    drawn, data = random.Random(1), (stopped / "state" / name).read_bytes()
    for number in range(40):
        shutil.copytree(stopped, folder := tmp_path / str(number))
        live = folder / "state" / "live.duckdb"
        at = drawn.randrange(HEADERS if number % 2 else len(data))
        changed = bytes([data[at] ^ 1 << drawn.randrange(8)])
        (folder / "state" / name).write_bytes(data[:at] + changed + data[at + 1 :])
        with pytest.raises(SnapshotError, match=rf"snapshot {live}: .*; (?!.*\n).*put (it|the) "):
            published(folder)


@pytest.mark.parametrize("name", ["live.duckdb", "live.duckdb.wal"])
def test_bytes_missing_at_the_end_are_found_wherever_it_is_cut(name: str, stopped: Path, tmp_path: Path) -> None:
    drawn, data = random.Random(1), (stopped / "state" / name).read_bytes()
    for number in range(40):
        shutil.copytree(stopped, folder := tmp_path / str(number))
        (folder / "state" / name).write_bytes(data[: drawn.randrange(len(data))])
        with pytest.raises(SnapshotError, match=rf"snapshot {folder / 'state' / 'live.duckdb'}: "):
            published(folder)


@pytest.mark.parametrize("name", ["live.duckdb", "live.duckdb.wal"])
def test_a_file_that_is_gone_is_missed(name: str, stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "gone")
    (tmp_path / "gone" / "state" / name).unlink()
    with pytest.raises(SnapshotError, match="must"):
        published(tmp_path / "gone")


def test_a_log_cut_behind_the_cut_of_the_state_loses_nothing(stopped: Path, tmp_path: Path) -> None:
    """What is cut off are rows that the run drops, and writes again."""
    shutil.copytree(stopped, tmp_path / "cut")
    log = tmp_path / "cut" / "state" / "live.duckdb.wal"
    log.write_bytes(log.read_bytes()[:-100])
    assert published(tmp_path / "cut", 2) == 2 * CALLS


def test_a_defect_of_a_query_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(duckdb.CatalogException) as caught, naming(tmp_path), duckdb.connect() as base:
        base.execute("SELECT * FROM nothing")
    assert not is_unusable(caught.value)
    assert is_unusable(duckdb.Error("Corrupt database file"))
