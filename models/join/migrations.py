"""Stored shards of earlier versions, brought to the next one."""

from __future__ import annotations

from typing import Any

import numpy as np


def to_3(state: dict[str, Any]) -> dict[str, Any]:
    """Ids that are no UUIDs were a list of texts; now all their bytes are one array, with their lengths."""
    held = state["held"]
    ids = dict(held["calls"]["ids"])
    texts = [text.encode() for text in ids.pop("texts")]
    ids["text"] = np.frombuffer(b"".join(texts), np.uint8).copy()
    ids["lengths"] = np.fromiter(map(len, texts), np.uint16, len(texts))
    return state | {"held": held | {"calls": held["calls"] | {"ids": ids}}}
