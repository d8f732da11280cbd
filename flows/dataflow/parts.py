"""Parts of a stored state: plain values, packed, and compressed where that is worth its cost.

Tables of counts shrink to a tenth, and are written at each epoch. Rows of held calls are mostly random bytes.
"""

from __future__ import annotations

from typing import Any, Final

import zstandard

from models import plain

_LEVEL: Final = 1
_MOST: Final = 1 << 32
"""No part has more bytes: a made-up folder shall not fill the memory."""


def packed_part(value: Any, *, compress: bool) -> bytes:
    """The bytes of a plain value; zstd at its fastest makes some 300 MB/s."""
    data = plain.pack(value)
    return zstandard.ZstdCompressor(_LEVEL).compress(data) if compress else data


def part_in(data: bytes) -> Any:
    """The value of a part.

    Raises:
        ValueError: this is no part.
    """
    if not data.startswith(zstandard.FRAME_HEADER):
        return plain.unpack(data)
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= _MOST:
            raise ValueError(f"a part of {size} bytes is none of ours")
        return plain.unpack(zstandard.ZstdDecompressor().decompress(data, max_output_size=size))
    except zstandard.ZstdError as wrong:
        raise ValueError(f"not a part: {wrong}") from wrong
