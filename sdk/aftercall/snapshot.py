"""Opens the newest snapshot of a pipeline for SQL, in any process and with any DuckDB from 1.0 on.

`outcomes.duckdb` is a link to the newest of several files. Two habits of DuckDB make it easy to read the wrong one:
while any connection of a process to a path is open, DuckDB up to 1.4 answers a further `connect` to that path from the
file that was opened first; and a connection that stays open reads its own file for ever, also when that is deleted.
So the link is resolved here, and the file attached to a new database in memory.

DuckDB is imported when a snapshot is opened: the package needs pydantic and nothing else.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aftercall.errors import UserError

if TYPE_CHECKING:
    import duckdb

_LINK: Final = "outcomes.duckdb"
_TEXTS: Final = "texts"
_VERSIONS: Final = "versions"
# A file that was merged into another stays for a while. `first` and `last` are the writes in a file, as it is named:
# `connectors.texts.pieces` has the rule. A call that was reported twice may have several rows, with different fields,
# until they are merged; only those that complete another one are held in memory here, as all texts may be too many.
_TEXTS_VIEW: Final = """
WITH files AS (
    SELECT file, parse_path(file)[-2] AS day, split_part(parse_filename(file, true), '-', 1) AS first,
      split_part(parse_filename(file, true), '-', 2) AS last
    FROM glob('{files}')
), pieces AS NOT MATERIALIZED (
    SELECT call_id, occurred_at, input, output, tools, completes
    FROM read_parquet('{files}', filename = true)
    WHERE filename NOT IN (
        SELECT part.file FROM files part JOIN files whole
          ON whole.day = part.day AND whole.file <> part.file AND whole.first <= part.first AND part.last <= whole.last
    )
), rest AS NOT MATERIALIZED (
    SELECT call_id, occurred_at, any_value(input) AS input, any_value(output) AS output, any_value(tools) AS tools
    FROM pieces WHERE completes GROUP BY call_id, occurred_at
), completed AS NOT MATERIALIZED (
    SELECT call_id, occurred_at
    FROM pieces JOIN (SELECT DISTINCT call_id, occurred_at FROM pieces WHERE completes) b USING (call_id, occurred_at)
    WHERE NOT completes
)
SELECT a.call_id, a.occurred_at, coalesce(a.input, b.input) AS input, coalesce(a.output, b.output) AS output,
  coalesce(a.tools, b.tools) AS tools
FROM (SELECT * FROM pieces WHERE NOT completes) a LEFT JOIN rest b USING (call_id, occurred_at)
UNION ALL
SELECT b.call_id, b.occurred_at, b.input, b.output, b.tools
FROM rest b LEFT JOIN completed c USING (call_id, occurred_at) WHERE c.call_id IS NULL
"""
_NO_TEXTS: Final = """
SELECT NULL::VARCHAR AS call_id, NULL::TIMESTAMP AS occurred_at, NULL::VARCHAR AS input, NULL::VARCHAR AS output,
  NULL::VARCHAR AS tools
WHERE false
"""
_TRIES: Final = 5
"""Of a file that is deleted between the look at the link and the opening: a pipeline keeps its last files."""


class NoSnapshotError(UserError):
    """No snapshot can be opened; the text is one sentence: the path, the rule, what is there, the remedy."""


def open_snapshot(path: str | os.PathLike[str]) -> duckdb.DuckDBPyConnection:
    """Open the newest snapshot, read-only, as the catalog `outcomes` of a connection of its own.

    Each call opens what is newest at that moment, whatever else the process has open. The connection keeps its
    snapshot until it is closed, also when newer ones are published; call again to see those. Opening takes some
    milliseconds, whatever the size, and some 30 where a million texts are kept a day. Close the connection: a deleted
    snapshot takes room on the disk until then.

    `calls`, `outcomes.calls` and `outcomes.main.calls` name the same table; docs/queries.md has queries. Tables of your
    own go to the catalog `memory` (`CREATE TABLE memory.main.mine AS ...`) or are temporary. A `cursor()` of the
    connection begins in `memory`: say `outcomes.calls` there.

    Where texts of calls are kept (`[texts]`), they are the view `texts` over the Parquet files beside the link, read
    when it is asked: `call_id, occurred_at, input, output, tools`. It is empty without any, and leaves out encrypted
    ones, which DuckDB cannot read.

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
    connection, file = _opened(path)
    _show_texts(connection, texts_folder(file))
    return connection


def open_tables(path: str | os.PathLike[str]) -> duckdb.DuckDBPyConnection:
    """`open_snapshot` without the view `texts`, of whose files it reads nothing."""
    return _opened(path)[0]


def _opened(path: str | os.PathLike[str]) -> tuple[duckdb.DuckDBPyConnection, Path]:
    """A connection to the newest snapshot, and its file; errors as `open_snapshot` says."""
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
            return connection, file
    raise NoSnapshotError(
        f"{path}: must be a snapshot that aftercall wrote and this user may read; got: {reason} (give the path of "
        "outcomes.duckdb, or of the folder of a run)"
    )


def texts_folder(file: Path) -> Path:
    """Where the texts of calls lie that belong to a snapshot's file, or to a link or a copy; it may not be there."""
    versions = file.parent.parent
    return (versions.parent if versions.name == _VERSIONS else file.parent) / _TEXTS


def _show_texts(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Define the view `texts`: for the connection as it is, and in `memory`, where its cursors begin.

    Where a file of texts cannot be read there is no view: a snapshot can be used without.
    """
    import duckdb

    files = str(folder / "*" / "*.parquet").replace("'", "''")
    for _ in range(_TRIES):
        query = _TEXTS_VIEW.format(files=files) if any(folder.glob("*/*.parquet")) else _NO_TEXTS
        with suppress(duckdb.Error):  # such as of a file that has been merged and removed since
            connection.execute(f"CREATE VIEW memory.main.texts AS {query}")
            connection.execute("CREATE TEMP VIEW texts AS SELECT * FROM memory.main.texts")
            return


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
