"""Keeps the versions of a snapshot: `versions/17/outcomes.duckdb`, and a link to the newest.

DuckDB names a catalog after its file. As each version is called `outcomes.duckdb`, its catalog is always `outcomes`,
and a saved query that says `outcomes.calls` goes on with every version. The number is in the path because DuckDB
up to 1.4 keeps serving the old content of a path within a process in which that path is still open.

Up to commit 2f0502d versions were called `outcomes-17.duckdb`. A folder may hold such ones too: they count, and are
removed, like the others.
"""

from __future__ import annotations

import re
import shutil
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from connectors.fsync import sync

if TYPE_CHECKING:
    from pathlib import Path

LINK: Final = "outcomes.duckdb"
VERSIONS: Final = "versions"

_NUMBER: Final = re.compile(r"([0-9]+)")
_BEFORE: Final = re.compile(r"outcomes-([0-9]+)\.duckdb")
_UNFINISHED: Final = ".publishing-"


def versions(folder: Path) -> list[tuple[int, Path]]:
    """The complete snapshots of a run's folder: number and file, oldest first."""
    before = ((_BEFORE.fullmatch(path.name), path) for path in folder.iterdir())
    found = [(int(match[1]), path) for match, path in before if match]
    found += [(number, path / LINK) for number, path in _numbered(folder) if (path / LINK).is_file()]
    return sorted(found)


def newest_version(folder: Path) -> int:
    """The greatest number that was ever given: to a file, a folder or the link, which may outlive both; 0 without any.

    A new version takes the next one, so that no path is used twice.
    """
    numbers = [number for number, _ in (*versions(folder), *_numbered(folder))]
    link = folder / LINK
    if link.is_symlink():
        target = link.readlink()
        if named := _BEFORE.fullmatch(target.name) or _NUMBER.fullmatch(target.parent.name):
            numbers.append(int(named[1]))
    return max(numbers, default=0)


def draft_of(folder: Path, version: int, mode: int | None) -> Path:
    """The file to write a new version into, in a new folder of its own that `release` moves into place.

    Args:
        folder: The folder of the run.
        version: The number of the new version.
        mode: Rights of the file. Who may read it may enter its folders; None: the umask decides on these too.

    Raises:
        OSError: The folder cannot be made.
    """
    all_of_them = folder / VERSIONS
    draft = all_of_them / f"{_UNFINISHED}{version}"
    all_of_them.mkdir(exist_ok=True)
    draft.mkdir()
    if mode is not None:
        for path in (all_of_them, draft):
            _let_in(path, mode)
    return draft / LINK


def release(folder: Path, draft: Path, version: int) -> Path:
    """Move a complete file into place, and the link onto it; each step is atomic, and on disk before the next.

    Returns:
        The file that the link leads to now. The link is relative: it holds wherever the folder is mounted.
    """
    place = folder / VERSIONS / str(version)
    sync(draft)
    sync(draft.parent)
    draft.parent.replace(place)
    sync(place.parent)
    sync(folder)
    link = folder / f"{_UNFINISHED}link"
    link.symlink_to(f"{VERSIONS}/{version}/{LINK}")
    link.replace(folder / LINK)
    sync(folder)
    return place / LINK


def keep_newest(folder: Path, keep: int) -> int:
    """Remove all snapshots but the last `keep`, >= 1; returns how many. A process that has one open can still read it.

    Folders that are empty by now are removed as well: a network file system leaves a name in one as long as a reader
    on this host has the file open.
    """
    older = versions(folder)[:-keep]
    for _, path in older:
        discard(path)
    held = {path.parent for _, path in versions(folder)}
    for _, path in _numbered(folder):
        if path not in held:
            with suppress(OSError):
                path.rmdir()
    if older:
        sync(folder)
        with suppress(FileNotFoundError):
            sync(folder / VERSIONS)
    return len(older)


def discard_unfinished(folder: Path) -> None:
    """Remove what a publication has written and not released; also what a killed one left behind, in both forms."""
    for path in (*folder.glob(f"{_UNFINISHED}*"), *(folder / VERSIONS).glob(f"{_UNFINISHED}*")):
        _remove(path)


def discard(path: Path) -> None:
    """Remove a database file and its write-ahead log, if they exist."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """The folders of versions, whatever they hold."""
    return [(int(path.name), path) for path in (folder / VERSIONS).glob("*") if _NUMBER.fullmatch(path.name)]


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _let_in(folder: Path, mode: int) -> None:
    """Let those into a folder that may read a file of these rights; a group that it hands down stays."""
    readers = mode & 0o444
    before = stat.S_IMODE(folder.stat().st_mode)
    wanted = before & stat.S_ISGID | 0o700 | readers | readers >> 2
    if wanted != before:
        folder.chmod(wanted)
