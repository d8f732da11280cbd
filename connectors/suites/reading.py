"""Reads a data set of cases, whatever its format."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aftercall.evals.case import EvalCase
from aftercall.evals.reading import read_cases

_PARQUET: Final = ".parquet"


def read_dataset(path: Path) -> tuple[EvalCase, ...]:
    """The cases of a file: `.jsonl`, `.ndjson`, `.csv`, `.tsv` or `.parquet`, each with an id of its own.

    Raises:
        DatasetError: the file cannot be read, has no case, or one is wrong: file, line, rule, value, remedy.
    """
    if path.suffix.lower() == _PARQUET:
        from connectors.suites.parquet import read_parquet

        return read_parquet(path)
    return read_cases(path)
