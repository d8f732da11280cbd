"""The view `texts` of `open_snapshot`: each text once, also while files are merged, in any DuckDB from 1.0 on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

import aftercall
from aftercall import open_snapshot
from connectors.snapshot.store import SnapshotStore
from connectors.texts.day_files import DayFiles
from harness.other_duckdb import installed
from harness.texts import DAY, call_text
from harness.waiting import HANG_S

READER = """
import json, sys
import aftercall, duckdb
with aftercall.open_snapshot(sys.argv[1]) as snapshot:
    rows = snapshot.execute("SELECT call_id, input FROM texts WHERE call_id <= 'call-2' ORDER BY 1").fetchall()
    print(json.dumps([duckdb.__version__, rows, snapshot.execute("SELECT count(*) FROM texts").fetchone()[0]]))
"""


def published(out: Path, cuts: int) -> DayFiles:
    store = SnapshotStore(out)
    store.publish({}, {"calls": []}, {"calls": []})
    store.close()
    files = DayFiles(out / "texts")
    files.resume(0)
    for cut in range(1, cuts + 1):
        files.add([call_text(cut)])
        files.commit(cut)
    return files


@pytest.mark.slow
@pytest.mark.parametrize("version", ["1.0.0", "1.4.5", "own"])
def test_it_shows_each_text_once_in_every_duckdb(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, version: str
) -> None:
    published(tmp_path / "it's out", 12).merge(12, DAY + 1)
    (folder,) = (tmp_path / "it's out" / "texts").iterdir()
    assert len(list(folder.iterdir())) == 13
    path = [str(Path(aftercall.__file__).parent.parent)]
    if version != "own":
        path.insert(0, str(installed(version, tmp_path_factory.getbasetemp().parent)))
    done = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path / "it's out")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found[0] == (duckdb.__version__ if version == "own" else version)
    numbers = [1, 10, 11, 12, 2]
    assert found[1:] == [[[f"call-{number}", f"a question {number}"] for number in numbers], 12]


def test_a_connection_that_stays_open_sees_what_is_there_when_it_asks(tmp_path: Path) -> None:
    files = published(tmp_path, 12)
    with open_snapshot(tmp_path) as snapshot:
        count = "SELECT count(*), count(DISTINCT call_id) FROM texts"
        assert snapshot.execute(count).fetchall() == [(12, 12)]
        files.merge(12, DAY + 1)
        files.tidy()
        assert snapshot.execute(count).fetchall() == [(12, 12)]
        files.add([call_text(13)])
        files.commit(13)
        assert snapshot.cursor().execute(count).fetchall() == [(13, 13)]


def test_a_copy_of_the_file_finds_texts_beside_it(tmp_path: Path) -> None:
    published(tmp_path, 2)
    (tmp_path / "copy.duckdb").write_bytes((tmp_path / "outcomes.duckdb").read_bytes())
    with open_snapshot(tmp_path / "copy.duckdb") as snapshot:
        assert snapshot.execute("SELECT count(*) FROM texts").fetchall() == [(2,)]


def test_a_damaged_file_of_texts_does_not_hide_the_tables(tmp_path: Path) -> None:
    published(tmp_path, 1)
    (tmp_path / "texts" / "2024-10-04" / "x.parquet").write_bytes(b"no Parquet")
    (next((tmp_path / "texts" / "2024-10-04").glob("0*"))).unlink()
    with open_snapshot(tmp_path) as snapshot:
        assert snapshot.execute("SELECT count(*) FROM calls").fetchall() == [(0,)]
        with pytest.raises(duckdb.CatalogException, match="texts"):
            snapshot.execute("SELECT * FROM texts")
