"""Every table of a snapshot, without what two runs may differ in."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from system.commands import table

INTEGRAL: Final = "a golden keeps the weights of its time, whose integral was coarser; `assert_weights_alike` compares"
SENTENCES: Final = "a golden keeps the words of its time, and `event_id` is a hash of them"
UNKEPT: Final = "calls of before these columns have nothing in them"
EXCEPT: Final[dict[str, dict[str, str]]] = {
    "calls": {"tokens_in": UNKEPT, "tokens_out": UNKEPT},
    "dead_letters": {
        "received_at": "when this run read it (contract, section 4)",
        "detail": SENTENCES,
        "event_id": SENTENCES,
    },
    "pipeline": {
        "version": "counts what was published (contract, section 4)",
        "written_at": "when it was published (contract, section 4)",
        "positions": "names the batch that was last read (contract, section 4)",
    },
    "alerts": {"reason": SENTENCES, "event_id": SENTENCES},
    "recommendations": {
        "reason": SENTENCES,
        "event_id": SENTENCES,
        "recommendation_id": SENTENCES,
        "weight": INTEGRAL,
        "p_best": INTEGRAL,
    },
}
"""Columns in which a golden that went on may differ from an undisturbed run, and why."""
UNCOUNTED: Final = {
    "source_rates": "earlier versions did not count what sources said of calls that have closed (contract, section 4)",
    "source_current_rates": "the same",
}
"""Tables in which it may."""
ON_KAFKA: Final = {
    "dead_letters": {
        "payload": "one that had to wait has none; which do hangs on how partitions interleave (contract, section 7)",
        "event_id": "a hash of that too",
    }
}
"""What may differ on Kafka besides."""


def tables(out: Path, *, kafka: bool = False) -> dict[str, Counter[tuple[Any, ...]]]:
    """The rows of all tables of the newest snapshot, as multisets."""
    found = {}
    names = table(out, "SELECT table_name FROM information_schema.tables WHERE table_catalog = current_database()")
    for (name,) in names:
        if name in UNCOUNTED:
            continue
        without = [*EXCEPT.get(name, ()), *(ON_KAFKA.get(name, ()) if kafka else ())]
        columns = [column for column in _columns(out, name) if column not in without]
        rows = table(out, f"SELECT {', '.join(map(_quoted, columns))} FROM {name}")
        found[name] = Counter(_wordless(columns, row) for row in rows)
    return found


def assert_weights_alike(out: Path, expected: Path) -> None:
    """The weights of all recommendations are those of another run, but for the errors of the integral."""
    query = "SELECT task_type, seq, segment, model, config, weight, p_best FROM recommendations ORDER BY ALL"
    found, wanted = table(out, query), table(expected, query)
    assert [row[:5] for row in found] == [row[:5] for row in wanted]
    for row, other in zip(found, wanted, strict=True):
        assert row[5:] == pytest.approx(other[5:], abs=0.002), (row, other)


def _columns(out: Path, name: str) -> list[str]:
    query = f"SELECT column_name FROM information_schema.columns WHERE table_name = '{name}' ORDER BY ordinal_position"
    return [column for (column,) in table(out, query)]


def _wordless(columns: list[str], row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without the sentences within `degraded`, which are those of alerts."""
    return tuple(
        json.dumps([{**entry, "reason": ""} for entry in json.loads(value)]) if column == "degraded" else value
        for column, value in zip(columns, row, strict=True)
    )


def _quoted(column: str) -> str:
    return f'"{column}"'
