"""What DuckDB raises, as one sentence: which database cannot be used, why, and what to do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import duckdb

from aftercall.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class SnapshotError(UserError):
    """The snapshot cannot be kept or read as it is."""


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Raise DuckDB's errors within the block as errors about this database.

    Raises:
        SnapshotError: DuckDB raised an error.
    """
    try:
        yield
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise SnapshotError(
            f"snapshot {file}: its database must be usable; {reason} (check the disk, then give the same command again)"
        ) from error
