"""`open_snapshot` opens what is newest, holds it, and reports in a sentence what it cannot open."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pydantic
import pytest

import aftercall
from aftercall import NoSnapshotError, open_snapshot
from connectors.snapshot.store import SnapshotStore

NOTHING: dict[str, Any] = {"calls": []}
SDK = Path(aftercall.__file__).parent.parent
VERSION = "SELECT version, current_catalog() FROM outcomes.main.pipeline"


def publish(folder: Path, keep: int = 1) -> Path:
    store = SnapshotStore(folder, keep=keep)
    try:
        return store.publish({}, NOTHING, NOTHING)
    finally:
        store.close()


def test_each_call_opens_what_is_newest_and_holds_it(tmp_path: Path) -> None:
    opened = []
    for _ in range(3):
        publish(tmp_path)
        opened += [open_snapshot(tmp_path), open_snapshot(str(tmp_path / "outcomes.duckdb"))]
    assert [snapshot.execute(VERSION).fetchall() for snapshot in opened] == [
        [(version, "outcomes")] for version in (1, 1, 2, 2, 3, 3)
    ]
    assert [path.name for path in (tmp_path / "versions").iterdir()] == ["3"]


@pytest.mark.parametrize("name", ["monday.duckdb", "it's; a copy", "outcomes-17.duckdb"])
def test_a_copy_by_any_name_has_the_same_catalog(tmp_path: Path, name: str) -> None:
    shutil.copy(publish(tmp_path), tmp_path / name)
    with open_snapshot(tmp_path / name) as snapshot:
        assert snapshot.execute(VERSION).fetchall() == [(1, "outcomes")]
        assert snapshot.execute("SELECT count(*) FROM calls, outcomes.rates, outcomes.main.alerts").fetchall() == [(0,)]


def test_a_snapshot_is_read_only_and_tables_of_a_reader_go_to_memory(tmp_path: Path) -> None:
    file = publish(tmp_path)
    file.chmod(0o600)
    with open_snapshot(tmp_path) as snapshot:
        with pytest.raises(duckdb.Error, match="read-only"):
            snapshot.execute("DELETE FROM pipeline")
        snapshot.execute("CREATE TABLE memory.main.mine AS SELECT version FROM pipeline")
        assert snapshot.cursor().execute("SELECT * FROM mine, outcomes.pipeline").fetchall()[0][:2] == (1, 1)


def test_a_file_that_is_replaced_while_it_is_opened_is_the_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path)
    connect, count = duckdb.connect, [0]

    def late(*arguments: Any, **named: Any) -> duckdb.DuckDBPyConnection:
        count[0] += 1
        if count[0] == 1:
            publish(tmp_path)
        return connect(*arguments, **named)

    monkeypatch.setattr(duckdb, "connect", late)
    with open_snapshot(tmp_path) as snapshot:
        assert snapshot.execute(VERSION).fetchall() == [(2, "outcomes")]
    assert count[0] > 2


def none_yet(folder: Path) -> Path:
    SnapshotStore(folder).close()
    return folder


def no_folder(folder: Path) -> Path:
    return folder / "nothing"


def link_alone(folder: Path) -> Path:
    publish(folder / "out")
    (folder / "outcomes.duckdb").symlink_to((folder / "out" / "outcomes.duckdb").readlink())
    return folder


def ring(folder: Path) -> Path:
    (folder / "outcomes.duckdb").symlink_to("outcomes.duckdb")
    return folder


def too_long(folder: Path) -> Path:
    return folder / ("x" * 300)


def text(folder: Path) -> Path:
    (folder / "calls.jsonl").write_text("{}\n" * 5_000)
    return folder / "calls.jsonl"


def sqlite(folder: Path) -> Path:
    """DuckDB would look for an extension, and fetch it."""
    (folder / "other.db").write_bytes(b"SQLite format 3\0" + bytes(5_000))
    return folder / "other.db"


def other_tables(folder: Path) -> Path:
    with duckdb.connect(str(folder / "other.duckdb")) as other:
        other.execute("CREATE TABLE calls (call_id VARCHAR)")
    return folder / "other.duckdb"


def cut_short(folder: Path) -> Path:
    os.truncate(publish(folder), 20_000)
    return folder


def empty(folder: Path) -> Path:
    (folder / "empty.duckdb").touch()
    return folder / "empty.duckdb"


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (none_yet, r"outcomes\.duckdb: must be a snapshot; there is none \(.*wait for its first snapshot"),
        (no_folder, r"nothing: must be a snapshot; there is none"),
        (link_alone, r"must lead to a snapshot; there is none at versions/1/.*the whole folder of the run"),
        (ring, r"must lead to a snapshot; there is none at outcomes\.duckdb"),
        (too_long, r"must be a snapshot that this user may read; File name too long"),
        (text, r"calls\.jsonl: must be a snapshot that aftercall wrote.*not a valid DuckDB database file"),
        (sqlite, r"other\.db: must be a snapshot that aftercall wrote.*not a valid DuckDB database file"),
        (other_tables, r"other\.duckdb: must be a snapshot that aftercall wrote.*pipeline"),
        (cut_short, r"must be a snapshot that aftercall wrote"),
        (empty, r"empty\.duckdb: must be a snapshot that aftercall wrote"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(tmp_path: Path, made: Any, sentence: str) -> None:
    with pytest.raises(NoSnapshotError, match=sentence) as caught:
        open_snapshot(made(tmp_path))
    assert "\n" not in str(caught.value)


def test_the_package_needs_no_duckdb_and_a_sentence_names_it_where_it_is_needed(tmp_path: Path) -> None:
    code = (
        "import sys, aftercall\n"
        "assert 'duckdb' not in sys.modules\n"
        "sys.modules['duckdb'] = None\n"
        "try:\n"
        "    aftercall.open_snapshot('out')\n"
        "except aftercall.NoSnapshotError as error:\n"
        "    print(error)\n"
    )
    libraries = Path(pydantic.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": f"{SDK}{os.pathsep}{libraries}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("open_snapshot: needs the package duckdb, 1.0 or later; it cannot be imported here (")
