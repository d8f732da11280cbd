"""Turns DuckDB's errors into one sentence: the database, the reason, the remedy."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import duckdb

from aftercall.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


UNUSABLE: Final = (
    duckdb.OperationalError,  # the disk, the memory, a file that is locked or damaged
    duckdb.InternalError,  # a damaged file, too
    duckdb.FatalException,
    duckdb.PermissionException,
)
"""DuckDB's errors where the system or the file is at fault; all others are defects of our queries."""


class SnapshotError(UserError):
    """The snapshot's database cannot be used."""


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Raise DuckDB's errors within the block as errors about this database; defects of ours pass unchanged.

    Raises:
        SnapshotError: the database cannot be used.
    """
    try:
        yield
    except UNUSABLE as error:
        reason = str(error).partition("\n")[0]
        raise SnapshotError(
            f"snapshot {file}: its database must be usable; {reason} (check the disk, then give the same command again)"
        ) from error
