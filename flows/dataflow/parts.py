"""Parts of a stored state: plain values, packed, and compressed where that is worth its cost.

Tables of counts shrink to a tenth, and are written at each epoch. Rows of held calls are mostly random bytes.
"""

from __future__ import annotations

from typing import Any, Final

from backports import zstd

from models import plain

_LEVEL: Final = 1
_FRAME: Final = b"\x28\xb5\x2f\xfd"
"""How each frame of zstd begins (RFC 8878)."""
_MOST: Final = 1 << 32
"""No part has more bytes: a made-up folder shall not fill the memory."""


def packed_part(value: Any, *, compress: bool) -> bytes:
    """The bytes of a plain value; zstd at its fastest makes some 300 MB/s."""
    data = plain.pack(value)
    return zstd.compress(data, _LEVEL) if compress else data


def part_in(data: bytes) -> Any:
    """The value of a part.

    Raises:
        ValueError: this is no part.
    """
    if not data.startswith(_FRAME):
        return plain.unpack(data)
    try:
        size = zstd.get_frame_info(data).decompressed_size
        if size is None or size > _MOST:  # type: ignore[redundant-expr] # the stub forgets frames of unknown size
            raise ValueError(f"a part of {size} bytes is none of ours")
        frame = zstd.ZstdDecompressor()
        unpacked = frame.decompress(data, max_length=size)
    except zstd.ZstdError as wrong:
        raise ValueError(f"not a part: {wrong}") from wrong
    if not frame.eof or frame.unused_data:
        raise ValueError("not a part: it ends too early or too late")
    return plain.unpack(unpacked)
