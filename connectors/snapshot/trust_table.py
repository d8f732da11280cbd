"""Defines the log of trust."""

from __future__ import annotations

from typing import Final

TRUST: Final = {
    "event_id": "VARCHAR",
    "seq": "BIGINT",
    "task_type": "VARCHAR",
    "model": "VARCHAR",
    "config": "VARCHAR",
    "as_of": "BIGINT",
    "score": "DOUBLE",
    "score_low": "DOUBLE",
    "score_high": "DOUBLE",
    "coverage": "DOUBLE",
    "tier": "VARCHAR",
    "dimensions": "VARCHAR",
    "moved": "VARCHAR",
    "formula": "VARCHAR",
}
"""Its columns, those of the record; `dimensions` and `moved` are JSON text."""
