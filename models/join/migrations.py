"""Brings stored shards of earlier versions to the next one."""

from __future__ import annotations

from typing import Any

import numpy as np


def ids_in_one_array(state: dict[str, Any]) -> dict[str, Any]:
    """Version 2 to 3: ids that are no UUIDs were a list of texts; now they are one array, with their lengths."""
    held = state["held"]
    ids = dict(held["calls"]["ids"])
    texts = [text.encode() for text in ids.pop("texts")]
    ids["text"] = np.frombuffer(b"".join(texts), np.uint8).copy()
    ids["lengths"] = np.fromiter(map(len, texts), np.uint16, len(texts))
    return state | {"held": held | {"calls": held["calls"] | {"ids": ids}}}
