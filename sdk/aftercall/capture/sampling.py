"""Decides by its id which calls are kept, so that a call and its outcomes share their fate in every process."""

from __future__ import annotations

from typing import Final

_RANGE: Final = 2**32


def is_kept(call_id: str, share: float) -> bool:
    """Whether the first four bytes of SHA-256 of the id, as a fraction of 2^32, are below the share.

    Args:
        call_id: of a call, or the one that an outcome names.
        share: in (0, 1]; at 1 every id is kept.
    """
    if share >= 1.0:
        return True
    from hashlib import sha256

    digest = sha256(call_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") < share * _RANGE
