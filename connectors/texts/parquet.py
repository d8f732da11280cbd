"""Reads and writes Parquet files of texts with polars, encrypted where there is a key.

polars takes some 0.1 s and 40 MB to load, so it is loaded only where texts are kept. It has Parquet's own encryption
(AES-GCM, footer and all columns under one key). DuckDB 2 needs an extension that it downloads to write encrypted files,
and does not read what polars has encrypted: see docs/decisions/0022-texts-of-calls.md.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xxhash import xxh3_64_hexdigest

from connectors.fsync import sync
from connectors.own_files import open_own
from connectors.texts.call_text import COLUMNS, COMPLETES, KEY_COLUMNS, TEXT_COLUMNS, CallText

if TYPE_CHECKING:
    import polars as pl

PLAIN: Final = ".parquet"
"""Suffix of files that are not encrypted."""
KEY_BYTES: Final = (16, 24, 32)
"""Lengths of a key."""
_GROUP_BYTES: Final = 4 * 1024 * 1024
"""About so many bytes of text are in a row group: what a look-up by id has to read of a file, beside its footer."""
_PIECE_GROUPS: Final = 4
"""So many row groups are put in order at a time."""
_SAMPLE: Final = 256
_FORM: Final[dict[str, Any]] = {"compression": "zstd", "compression_level": 1, "statistics": True}


class TextFiles:
    """Files of texts under one key, or under none."""

    def __init__(self, key: bytes | None = None) -> None:
        """`key`: of 16, 24 or 32 bytes."""
        self._key = key
        self.suffix = PLAIN if key is None else f"{PLAIN}.{xxh3_64_hexdigest(key)[:8]}"
        """Of its files: it changes with the key."""

    def scan(self, path: Path) -> pl.LazyFrame:
        """The rows of a file; it may also be one that is not encrypted."""
        import polars as pl

        if self._key is None or path.suffix == PLAIN:
            return pl.scan_parquet(path)
        from polars.io.parquet.decryption import ParquetDecryptionProperties

        return pl.scan_parquet(path, decryption=ParquetDecryptionProperties(footer_key=self._key))

    def write(self, texts: Sequence[CallText], path: Path) -> None:
        """Write texts into a new file, sorted by id."""
        data = io.BytesIO()
        rows = _group(len(texts), sum(text.size for text in texts))
        _frame(texts).write_parquet(data, row_group_size=rows, encryption=self._encryption(), **_FORM)
        with open_own(path, "xb") as file:
            file.write(data.getbuffer())

    def merge(self, sources: Sequence[Path], path: Path, *, from_start: bool) -> None:
        """Write the rows of files into a new one, sorted, one of each call; it is on disk at return.

        In pieces of a few row groups, so that it takes some 150 MB, however large the files are. `from_start`: no file
        has earlier rows of the day, so that what completes a call without texts is the call's row from now on.
        """
        rows = self._group_of(sources[-1])
        merged = _in_order([self.scan(source) for source in sources], _PIECE_GROUPS * rows, from_start=from_start)
        self._sink(merged, path, sources[-1], rows)

    def calls(self, path: Path, call_ids: Sequence[str]) -> set[tuple[str, int]]:
        """Which calls with these ids have rows in a file, by id and time."""
        import polars as pl

        rows = self.scan(path).filter(pl.col("call_id").is_in(list(call_ids)))
        return set(rows.select("call_id", pl.col("occurred_at").cast(pl.Int64)).collect().rows())

    def rows(self, path: Path, call_id: str) -> list[tuple[Any, ...]]:
        """The rows of a call, as `COLUMNS`."""
        import polars as pl

        return self.scan(path).filter(pl.col("call_id") == call_id).select(COLUMNS).collect().rows()

    def without(self, source: Path, call_ids: Sequence[str], path: Path) -> None:
        """Write the rows of a file, but for those of these calls, into a new one; it is on disk at return."""
        import polars as pl

        rest = self.scan(source).filter(~pl.col("call_id").is_in(list(call_ids)))
        self._sink(rest, path, source, self._group_of(source))

    def _sink(self, frame: pl.LazyFrame, path: Path, like: Path, rows: int) -> None:
        """Write rows as they come, encrypted where a file like it is."""
        encryption = None if like.suffix == PLAIN else self._encryption()
        frame.sink_parquet(path, row_group_size=rows, encryption=encryption, **_FORM)
        sync(path)

    def _group_of(self, path: Path) -> int:
        """Rows of a row group, by the first rows of a file."""
        import polars as pl

        sample = self.scan(path).head(_SAMPLE).collect()
        texts = [sample[name] for name in COLUMNS if sample.schema[name] == pl.String]
        return _group(sample.height, sum(int(text.str.len_bytes().sum()) for text in texts))

    def _encryption(self) -> pl.ParquetEncryptionProperties | None:
        import polars as pl

        return None if self._key is None else pl.ParquetEncryptionProperties(footer_key=self._key)


def _frame(texts: Sequence[CallText]) -> pl.DataFrame:
    import polars as pl

    kinds = (pl.String, pl.Int64, pl.String, pl.String, pl.String, pl.Boolean)
    columns = zip((*COLUMNS, COMPLETES), kinds, zip(*texts, strict=True), strict=True)
    frame = pl.DataFrame([pl.Series(name, values, dtype=kind) for name, kind, values in columns])
    return _one_each(frame.with_columns(pl.col("occurred_at").cast(pl.Datetime("us"))))


def _one_each(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows sorted, those of a call put together; of two values, which only an id that came again has, the first."""
    import polars as pl

    if rows[COMPLETES].any():
        several = rows.select(KEY_COLUMNS).is_duplicated()
        found = rows.filter(several).group_by(KEY_COLUMNS, maintain_order=True)
        together = found.agg(pl.col(TEXT_COLUMNS).drop_nulls().first(), pl.col(COMPLETES).all())
        rows = pl.concat([rows.filter(~several), together])
    return rows.sort(KEY_COLUMNS)


def _in_order(files: list[pl.LazyFrame], step: int, *, from_start: bool) -> pl.LazyFrame:
    """The rows of sorted files, sorted, one of each call, of which about `step` are in memory at once.

    polars' own `merge_sorted` takes more than twice the memory of all texts.
    """
    import polars as pl
    from polars.io.plugins import register_io_source

    ids = pl.concat([file.select("call_id") for file in files]).collect()["call_id"].sort()
    starts = ids.gather_every(step).unique(maintain_order=True).to_list()

    def pieces(*_: Any) -> Iterator[pl.DataFrame]:
        yield files[0].head(0).collect()
        for low, high in zip(starts, [*starts[1:], None], strict=True):
            named = pl.col("call_id") >= low
            within = named if high is None else named & (pl.col("call_id") < high)
            rows = _one_each(pl.concat([file.filter(within) for file in files]).collect())
            yield rows.with_columns(pl.lit(value=False).alias(COMPLETES)) if from_start else rows

    return register_io_source(pieces, schema=files[0].collect_schema())


def _group(rows: int, size: int) -> int:
    """Rows of a row group, where so many rows have some bytes."""
    return max(64, rows * _GROUP_BYTES // max(1, size))
