"""Turns DuckDB's errors into one sentence: the database, the reason, the remedy."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import duckdb

from aftercall.errors import NEW_OUT, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_UNUSABLE: Final = (
    duckdb.OperationalError,  # the disk, the memory, a file that is locked or cut short
    duckdb.InternalError,  # a damaged file, too
    duckdb.FatalException,
    duckdb.PermissionException,
)
"""DuckDB's errors where the system or the file is at fault."""
_INTERRUPTED: Final = "Query interrupted"


class SnapshotError(UserError):
    """The snapshot's database cannot be used."""


def is_unusable(error: duckdb.Error) -> bool:
    """Whether the system or the file is at fault; all other errors are defects of our queries."""
    return isinstance(error, _UNUSABLE) or _is_damaged(error)


def _is_damaged(error: duckdb.Error) -> bool:
    """Whether a checksum of DuckDB does not match, or bytes are missing at the file's end."""
    # DuckDB has no Python class for the former, so it raises the base of all.
    return type(error) is duckdb.Error or "Could not read enough bytes" in str(error)


@contextmanager
def naming(file: Path, *, reads: Path | None = None) -> Iterator[None]:
    """Raise DuckDB's errors within the block as errors about this database; defects of ours pass unchanged.

    Args:
        file: the database.
        reads: an older one that is read to write `file`, and is named where the error is about it.

    Raises:
        SnapshotError: the database cannot be used.
        KeyboardInterrupt: ctrl-C came while DuckDB was at work, which takes the signal for itself.
    """
    try:
        yield
    except RuntimeError as error:
        if str(error) == _INTERRUPTED:
            raise KeyboardInterrupt from error
        raise
    except duckdb.Error as error:
        if not is_unusable(error):
            raise
        reason, damaged = str(error).partition("\n")[0], _is_damaged(error)
        named = reads if reads is not None and (damaged or str(reads) in reason) else file
        if damaged:
            remedy = f"put it back from a copy of the whole folder, or {NEW_OUT}"
        else:
            lacking = "the memory that is left" if isinstance(error, duckdb.OutOfMemoryException) else "the disk"
            remedy = f"check {lacking}, then give the same command again"
        raise SnapshotError(f"snapshot {named}: its database must be usable; {reason} ({remedy})") from error
