"""Reads cases from Parquet."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from aftercall.evals.case import DatasetError, EvalCase, distinct
from aftercall.evals.reading import case_of


def read_parquet(path: Path) -> tuple[EvalCase, ...]:
    """The cases of a Parquet file, a row each, with the columns of `EvalCase`; structs and lists are JSON.

    Raises:
        DatasetError: the file cannot be read, has no case, or one is wrong.
    """
    try:
        rows = pl.read_parquet(path).to_dicts()
    except (pl.exceptions.PolarsError, OSError) as wrong:
        words = " ".join(str(wrong).split())[:120]
        raise DatasetError(f"{path}: the data set cannot be read as Parquet: {words} (check the file)") from None
    return distinct((case_of(row, f"{path}, row {at}") for at, row in enumerate(rows, 1)), str(path))
