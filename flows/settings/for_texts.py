"""The section on texts as their store takes it."""

from __future__ import annotations

from pathlib import Path

from aftercall.errors import UsageError
from aftercall.times import duration_us
from connectors.texts.parquet import KEY_BYTES
from connectors.texts.store import TextSettings
from flows.settings.loading import Settings


def text_settings(settings: Settings, *, keep_buffer: bool = False) -> TextSettings:
    """Which texts wait, and how long they are kept. `keep_buffer`: also one in which these settings let none wait.

    Raises:
        UsageError: there is no key in `texts.key_file`.
    """
    texts = settings.texts
    return TextSettings(
        only_failed=texts.keep == "failed",
        retention_us=duration_us(texts.retention),
        buffer_us=duration_us(texts.buffer),
        buffer_bytes=texts.buffer_bytes,
        key=None if texts.key_file is None else text_key(Path(texts.key_file)),
        keep_buffer=keep_buffer,
    )


def text_key(file: Path, place: str = "texts.key_file") -> bytes:
    """The key in a file; `place`: the setting or option that names it.

    Raises:
        UsageError: the file cannot be read, or no key has its length.
    """
    try:
        key = file.read_bytes()
    except OSError as wrong:
        raise UsageError(f"{place}: {file} must be readable; {wrong.strerror} (make it readable)") from None
    if len(key) not in KEY_BYTES:
        raise UsageError(
            f"{place}: {file} must have {', '.join(map(str, KEY_BYTES))} bytes; it has {len(key)} "
            f"(make one with `head -c 32 /dev/urandom > {file}`)"
        )
    return key
