"""Opens files of a run, and never through a link: a stranger may have put one there, to a file that is not ours."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


def open_own(path: Path, mode: str, **how: Any) -> Any:
    """As `Path.open`.

    Raises:
        OSError: the path is a link.
    """
    return open(path, mode, opener=_without_links, **how)


def open_draft(path: Path) -> IO[str]:
    """A new text file in place of what an interrupted write may have left at this path."""
    path.unlink(missing_ok=True)
    draft: IO[str] = open_own(path, "x", encoding="utf-8")
    return draft


def strange(folder: Path) -> Iterator[Path]:
    """All that is neither a file nor a folder below a folder, such as links and pipes; or the folder itself."""
    if is_strange(folder):
        yield folder
        return
    for place, folders, files in os.walk(folder):
        yield from (path for name in (*folders, *files) if is_strange(path := Path(place, name)))


def is_strange(path: Path) -> bool:
    """Whether something is there that is neither a file nor a folder: to open a pipe may last for ever."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
