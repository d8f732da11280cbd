"""Opens input files as one piece of bytes each; compressed ones are unpacked into a file without a name.

What a compressed file unpacks to is bounded: 65 kB of zstd may hold 2 GiB of blanks, and a disk is full sooner than
its owner thinks.
"""

from __future__ import annotations

import gzip
import mmap
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import IO, Final, Protocol

from backports import zstd

from aftercall.errors import UserError

Data = mmap.mmap | bytes
MOST_UNPACKED: Final = 200 << 30
"""Bytes that all files of one run may unpack to, by default."""
ROOM_LEFT: Final = 256 << 20
"""Bytes that stay free on the disk: the state and the snapshot need some."""
_COPY_BYTES: Final = 1 << 20
_CHECK_BYTES: Final = 64 << 20
_WINDOW_LOG: Final = 28
"""zstd's `--ultra` levels and `--long` need windows, which are memory; this is 256 MiB."""


class InputError(UserError):
    """An input file cannot be read in the format of its name, or has changed since the run was started."""


class Unpacking:
    """Opens the files of one run."""

    def __init__(self, folder: Path, most_bytes: int = MOST_UNPACKED) -> None:
        """`folder`: for the unpacked content, which vanishes with the process."""
        self._folder, self._most, self._unpacked = folder, most_bytes, 0

    def open(self, path: Path) -> Data:
        """The bytes of `.jsonl`, `.jsonl.gz` or `.jsonl.zst`, mapped.

        Raises:
            InputError: the file is missing, cannot be read, is not compressed as its name says, or unpacks to more than
                is allowed or fits on the disk; or dead letters could not name it.
        """
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise InputError(f"{path}: must have a name in UTF-8; it has another one (rename it)") from None
        try:
            if path.suffix == ".gz":
                with gzip.open(path) as plain:
                    return self._spooled(path, plain)
            if path.suffix == ".zst":
                with zstd.open(path, options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}) as plain:
                    return self._spooled(path, plain)
            with path.open("rb") as file:
                return _mapped(file)
        except FileNotFoundError:
            raise InputError(f"{path}: must be a file; there is no such file (check the path)") from None
        except EOFError:
            raise InputError(f"{path}: ends in the middle of its compressed data (copy it again)") from None
        except (gzip.BadGzipFile, zlib.error, zstd.ZstdError) as wrong:
            if "too much memory" in str(wrong):
                raise InputError(_too_wide(path)) from None
            what = f"{path}: is not compressed as its name says; {wrong} (rename it, or copy it again)"
            raise InputError(what) from None
        except OSError as wrong:
            raise InputError(
                f"{path}: cannot be read; {wrong.strerror or wrong} (check the file and its rights)"
            ) from None

    def _spooled(self, path: Path, packed: _Readable) -> Data:
        with tempfile.TemporaryFile(dir=self._folder) as plain:
            checked = -_CHECK_BYTES
            while chunk := packed.read(_COPY_BYTES):
                self._unpacked += len(chunk)
                if self._unpacked > self._most:
                    raise InputError(
                        f"{path}: the files of a run must have at most {self._most:,} bytes unpacked; they have more "
                        "(raise limits.unpacked if these are all records, or give fewer files)"
                    )
                if self._unpacked - checked > _CHECK_BYTES:
                    checked = self._unpacked
                    self._ensure_room(path)
                plain.write(chunk)
            plain.flush()
            return _mapped(plain)

    def _ensure_room(self, path: Path) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < ROOM_LEFT:
            raise InputError(
                f"{path}: must fit unpacked on the disk of {self._folder}; {free >> 20} MiB are left there (make room, "
                "or give another --out)"
            )


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; empty at the end."""


def _mapped(file: IO[bytes]) -> Data:
    if file.seek(0, 2) == 0:
        return b""
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _too_wide(path: Path) -> str:
    return (
        f"{path}: must need a window of at most {(1 << _WINDOW_LOG) >> 20} MiB to unpack; it needs more (pack it "
        f"again: zstd -dc --long=31 {path} | zstd -o NEW.jsonl.zst)"
    )
