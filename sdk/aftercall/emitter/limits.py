"""Defines the bounds of an emitter, and where it keeps its spools."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final, Literal, NamedTuple

MIB: Final = 1 << 20
BATCH_EVENTS: Final = 500
"""So many events are committed to the spool, or offered to the transport, at once."""
BATCH_BYTES: Final = 4 * MIB
FLIGHT_EVENTS: Final = 4000
"""So many events may wait for their acknowledgement."""
FLIGHT_BYTES: Final = 8 * MIB


class Limits(NamedTuple):
    """Bounds in events, bytes and seconds."""

    queue_events: int = 10_000
    queue_bytes: int = 16 * MIB
    spool_bytes: int = 256 * MIB
    on_full: Literal["drop", "block"] = "drop"
    block_s: float = 10.0
    durable: bool = False
    flush_at_exit_s: float = 2.0


def default_folder() -> Path:
    """Where spools are kept by default: AFTERCALL_SPOOL, else the user's state folder, else a temporary one."""
    if given := os.environ.get("AFTERCALL_SPOOL"):
        return Path(given)
    state = os.environ.get("XDG_STATE_HOME")
    if state is None and sys.platform == "win32":
        state = os.environ.get("LOCALAPPDATA")
    try:
        return (Path(state) if state else Path.home() / ".local" / "state") / "aftercall" / "spool"
    except RuntimeError:  # a user without a home
        import tempfile

        return Path(tempfile.gettempdir()) / f"aftercall-{os.getuid()}" / "spool"
