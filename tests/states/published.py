"""How far the newest snapshot of a run is."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import duckdb

from system.commands import table


def records_published(out: Path) -> int:
    """How many records the newest snapshot has; 0 before there is one."""
    with suppress(duckdb.Error):  # not there yet, or replaced by the next one while it was being opened
        return int(table(out, "SELECT records FROM pipeline")[0][0])
    return 0
