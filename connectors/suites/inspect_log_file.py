"""Reads the logs that Inspect AI writes: `.eval`, a zip of JSON, compressed by deflate or, as now, by zstd.

Python's `zipfile` knows zstd from 3.14 on only, so such members are copied out as they are, and DuckDB reads them.
"""

from __future__ import annotations

import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

import duckdb

from connectors.suites.foreign_case import FormatError

_MOST_BYTES: Final = 512 * 1024 * 1024
"""Of all members together, as they are once read."""
_HEADER: Final = "header.json"
_SAMPLES: Final = "samples/"
_ZSTD: Final = 93
"""As APPNOTE 4.4.5 of the zip format numbers it."""
_LOCAL: Final = struct.Struct("<4s5H3I2H")
"""The header before a member's bytes (APPNOTE 4.3.7); the last two are the lengths of its name and extra field."""


def read_eval(path: Path) -> Any:
    """A log as `inspect log convert --to json` writes it: the header, and `samples`, by name of the member.

    A log of a run that was killed has no header, and is refused.

    Raises:
        FormatError: it cannot be read, is no such zip, lacks a header, or has more than 512 MiB.
    """
    try:
        with path.open("rb") as data, zipfile.ZipFile(data) as members:
            names = {one.filename: one for one in members.infolist()}
            if _HEADER not in names:
                raise FormatError(f"{path}: must be a log of a run that has ended; it has no header (run it again)")
            wanted = [names[_HEADER], *(one for name, one in sorted(names.items()) if name.startswith(_SAMPLES))]
            if sum(one.file_size for one in wanted) > _MOST_BYTES:
                raise FormatError(f"{path}: must have at most {_MOST_BYTES:,} bytes when read (write a smaller one)")
            header, *samples = _texts(data, members, wanted)
        log = json.loads(header)
        return log | {"samples": [json.loads(one) for one in samples]} if isinstance(log, dict) else log
    except OSError as wrong:
        raise FormatError(f"{path}: cannot be read: {wrong.strerror} (check the path)") from None
    except (zipfile.BadZipFile, NotImplementedError, duckdb.Error, struct.error, zlib.error, EOFError, RuntimeError):
        raise FormatError(f"{path}: must be a log of Inspect; its zip is broken (export it again)") from None
    except ValueError:
        raise FormatError(f"{path}: must be a zip of JSON; a member is none (export it again)") from None


def _texts(data: IO[bytes], members: zipfile.ZipFile, wanted: Sequence[zipfile.ZipInfo]) -> list[bytes]:
    packed = [one for one in wanted if one.compress_type == _ZSTD]
    unpacked = dict(zip((one.filename for one in packed), _of_zstd(data, packed), strict=True))
    return [unpacked[one.filename] if one.filename in unpacked else members.read(one) for one in wanted]


def _of_zstd(data: IO[bytes], packed: Sequence[zipfile.ZipInfo]) -> list[bytes]:
    """Each member's content, checked by its CRC."""
    if not packed:
        return []
    found = []
    with tempfile.TemporaryDirectory(prefix="aftercall-") as folder, duckdb.connect(":memory:") as database:
        for one in packed:
            place = Path(folder) / "member"
            place.write_bytes(_raw(data, one))
            content = _one_text(database, place, one.file_size)
            if zlib.crc32(content) != one.CRC:
                raise zipfile.BadZipFile(one.filename)
            found.append(content)
    return found


def _one_text(database: duckdb.DuckDBPyConnection, place: Path, size: int) -> bytes:
    rows = database.execute(
        "select json::varchar from read_json_objects(?, format = 'unstructured', compression = 'zstd',"
        " maximum_object_size = ?)",
        [str(place), max(size + 1, 1024)],
    ).fetchall()
    return str(rows[0][0]).encode() if len(rows) == 1 else b""


def _raw(data: IO[bytes], one: zipfile.ZipInfo) -> bytes:
    data.seek(one.header_offset)
    *_, name, extra = _LOCAL.unpack(data.read(_LOCAL.size))
    data.seek(name + extra, 1)
    return data.read(one.compress_size)
