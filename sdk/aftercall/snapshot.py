"""Opens the newest snapshot of a pipeline for SQL, in any process and with any DuckDB from 1.0 on.

`outcomes.duckdb` is a link to the newest of several files. Two habits of DuckDB make it easy to read the wrong one:
while any connection of a process to a path is open, DuckDB up to 1.4 answers a further `connect` to that path from the
file that was opened first; and a connection that stays open reads its own file for ever, also when that is deleted.
So the link is resolved here, and the file attached to a new database in memory.

DuckDB is imported by `open_snapshot` alone: the package needs pydantic and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aftercall.errors import UserError

if TYPE_CHECKING:
    import duckdb

_LINK: Final = "outcomes.duckdb"
_TRIES: Final = 5
"""Of a file that is deleted between the look at the link and the opening: a pipeline keeps its last files."""


class NoSnapshotError(UserError):
    """No snapshot can be opened; the text is one sentence: the path, the rule, what is there, the remedy."""


def open_snapshot(path: str | os.PathLike[str]) -> duckdb.DuckDBPyConnection:
    """Open the newest snapshot, read-only, as the catalog `outcomes` of a connection of its own.

    Each call opens what is newest at that moment, whatever else the process has open. The connection keeps its
    snapshot until it is closed, also when newer ones are published; call again to see those. Opening takes some
    milliseconds, whatever the size. Close the connection: a deleted snapshot takes room on the disk until then.

    `calls`, `outcomes.calls` and `outcomes.main.calls` name the same table; docs/queries.md has queries. Tables of your
    own go to the catalog `memory` (`CREATE TABLE memory.main.mine AS ...`) or are temporary. A `cursor()` of the
    connection begins in `memory`: say `outcomes.calls` there.

    Args:
        path: `outcomes.duckdb`, the folder of a run (`--out`, `service.folder`), or a copy of a snapshot by any name.
            In a container mount the whole folder: the link leads to a file within it.

    Returns:
        A connection of the package `duckdb`; not to be used by several threads at once.

    Raises:
        NoSnapshotError: DuckDB is not installed, no snapshot has been published yet, or the file is none.

    Example:
        with open_snapshot("out") as snapshot:
            rates = snapshot.execute("SELECT task_type, rate FROM current_rates WHERE span = '24h'").fetchall()
    """
    try:
        import duckdb
    except ImportError as missing:
        raise NoSnapshotError(
            "open_snapshot: needs the package duckdb, 1.0 or later; it cannot be imported here (pip install duckdb)"
        ) from missing
    reason = ""
    for _ in range(_TRIES):
        file = _newest(Path(path))
        connection = duckdb.connect()
        try:
            quoted = str(file).replace("'", "''")
            # The type keeps DuckDB from fetching an extension for a file that is none of its own.
            connection.execute(f"ATTACH '{quoted}' AS outcomes (READ_ONLY, TYPE duckdb)")
            connection.execute("USE outcomes")
            connection.execute("SELECT version FROM pipeline").fetchall()
        except duckdb.Error as wrong:
            connection.close()
            reason = str(wrong).partition("\n")[0]
            if file.exists():
                break
        else:
            return connection
    raise NoSnapshotError(
        f"{path}: must be a snapshot that aftercall wrote and this user may read; got: {reason} (give the path of "
        "outcomes.duckdb, or of the folder of a run)"
    )


def _newest(path: Path) -> Path:
    """The file that the path, or the link in that folder, leads to.

    Raises:
        NoSnapshotError: it leads to none.
    """
    try:
        link = path / _LINK if path.is_dir() else path
        if link.is_file():
            return link.resolve()
    except OSError as wrong:
        raise NoSnapshotError(
            f"{path}: must be a snapshot that this user may read; {wrong.strerror} (ask the owner of the folder, or "
            "set snapshot.mode)"
        ) from None
    if link.is_symlink():
        raise NoSnapshotError(
            f"{link}: must lead to a snapshot; there is none at {link.readlink()} (mount or copy the whole folder of "
            "the run, not the link alone)"
        )
    raise NoSnapshotError(
        f"{link}: must be a snapshot; there is none (give the folder of a run, and wait for its first snapshot: a "
        "service publishes every `snapshot.every`, a replay at its end)"
    )
