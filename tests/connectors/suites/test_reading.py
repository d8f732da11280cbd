"""Data sets in Parquet, beside those that the SDK reads."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from aftercall.evals import DatasetError
from connectors.suites.reading import read_dataset


def test_parquet_is_read_as_the_same_json_lines_are(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "input": "a", "expected": "x", "tags": ["t"], "checks": [{"type": "contains", "value": "x"}]},
        {"id": "2", "input": "b", "expected": None, "tags": None, "checks": [{"type": "json", "value": None}]},
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame(rows).write_ndjson(tmp_path / "a.jsonl")
    assert read_dataset(tmp_path / "a.parquet") == read_dataset(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read as Parquet"), (b"no parquet", "cannot be read as Parquet")]
)
def test_a_file_that_is_no_parquet_is_one_sentence(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "a.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match=words):
        read_dataset(path)


def test_a_wrong_row_is_named(tmp_path: Path) -> None:
    pl.DataFrame({"input": ["a", None]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DatasetError, match=r"a\.parquet, row 2: a case must have an `input`"):
        read_dataset(tmp_path / "a.parquet")
