"""Finds the texts of one call in the files of days."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb

from aftercall.errors import UserError
from connectors.texts.call_text import COLUMNS, TEXT_COLUMNS
from connectors.texts.parquet import PLAIN, TextFiles
from connectors.texts.pieces import Piece, days_in, pieces_in

if TYPE_CHECKING:
    from datetime import datetime

_TRIES: Final = 3
"""Of files that are merged between the look at their names and the reading."""


class LockedTextsError(UserError):
    """Texts are encrypted, and not under the key that was given."""


def find_texts(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    call_id: str,
    at: Collection[datetime] = (),
    key: bytes | None = None,
) -> list[dict[str, Any]]:
    """The texts of calls with this id, oldest first, as dicts of `COLUMNS`; times are naive, UTC.

    A file gives one row group of some MB to be read: with the day known, some 10 ms for a million calls a day.

    Args:
        connection: any; nothing is changed in it.
        folder: of the days; need not exist.
        call_id: the id.
        at: when those calls were, which is known of calls in a snapshot; empty: all days are searched.
        key: of encrypted files.

    Raises:
        LockedTextsError: some of these files are encrypted, and not under this key, and nothing was found in others.
    """
    names = {f"{one:%Y-%m-%d}" for one in at}
    for turn in range(_TRIES):
        pieces = [piece for day in days_in(folder) if not names or day.name in names for piece in pieces_in(day)[0]]
        try:
            return _found(connection, pieces, call_id, TextFiles(key))
        except (duckdb.IOException, FileNotFoundError):
            if turn == _TRIES - 1:
                raise
    return []


def _found(
    connection: duckdb.DuckDBPyConnection, pieces: list[Piece], call_id: str, files: TextFiles
) -> list[dict[str, Any]]:
    plain = [str(piece.path) for piece in pieces if piece.suffix == PLAIN]
    rows: list[tuple[Any, ...]] = []
    if plain:
        query = f"SELECT {', '.join(COLUMNS)} FROM read_parquet($1::VARCHAR[]) WHERE call_id = $2"
        rows = connection.execute(query, [plain, call_id]).fetchall()
    for piece in pieces:
        if piece.suffix == files.suffix != PLAIN:
            rows += files.rows(piece.path, call_id)
    if not rows and any(piece.suffix not in {PLAIN, files.suffix} for piece in pieces):
        raise LockedTextsError("texts: those of this call are encrypted; give the file of their key with --key-file")
    return _together(dict(zip(COLUMNS, row, strict=True)) for row in sorted(rows, key=lambda row: row[1]))


def _together(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with those of one call, which was reported twice, put together: they have different fields."""
    calls: dict[datetime, dict[str, Any]] = {}
    for row in rows:
        call = calls.setdefault(row["occurred_at"], row)
        call.update({name: row[name] for name in TEXT_COLUMNS if call[name] is None})
    return list(calls.values())
