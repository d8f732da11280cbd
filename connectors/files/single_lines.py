"""Reads single lines of files by their numbers, and appends lines durably: for commands beside a replay."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from connectors.files.unpacking import Data, Unpacking
from connectors.own_files import open_own

_BOM: Final = b"\xef\xbb\xbf"


def read_lines(unpacking: Unpacking, path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, bytes]]:
    """The lines with these numbers, from 1, in order and without their ends; those beyond the end are left out.

    Raises:
        InputError: the file cannot be read.
    """
    data = unpacking.open(path)
    line, start = 1, len(_BOM) if data[: len(_BOM)] == _BOM else 0
    for wanted in sorted(set(numbers)):
        while line < wanted and start < len(data):
            start, line = _end(data, start) + 1, line + 1
        if start >= len(data):
            return
        yield wanted, data[start : _end(data, start)].removesuffix(b"\r")


def all_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """All lines with their numbers, from 1, without their ends.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield number, line.rstrip(b"\r\n")


def append_lines(path: Path, lines: Sequence[bytes]) -> int:
    """Append lines, and return once they are on the disk. The file is created where there is none.

    A last line that a crash has left half-written is cut off; one that only lacks its end gets it.

    Returns:
        The number of the first of the lines.

    Raises:
        OSError: the file cannot be written, or is a link.
    """
    with open_own(path, "a+b") as file:
        file.seek(0)
        count, last = 0, b""
        for last in file:  # noqa: B007 - the last one is wanted
            count += 1
        if last and not last.endswith(b"\n"):
            if _is_json(last):
                file.write(b"\n")
            else:
                file.truncate(file.tell() - len(last))
                count -= 1
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    return count + 1


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _end(data: Data, start: int) -> int:
    at = data.find(b"\n", start)
    return len(data) if at < 0 else at
