"""Every table of a snapshot, without what two runs may differ in."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest

from system.commands import table

INTEGRAL: Final = "a golden keeps the weights of its time, whose integral was coarser; `assert_weights_alike` compares"
SENTENCES: Final = "a golden keeps the words of its time, and `event_id` is a hash of them"
UNSPLIT: Final = "alerts of before this column have nothing in it"
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
    "alerts": {"reason": SENTENCES, "event_id": SENTENCES, "split": UNSPLIT},
    "recommendations": {
        "reason": SENTENCES,
        "event_id": SENTENCES,
        "recommendation_id": SENTENCES,
        "weight": INTEGRAL,
        "p_best": INTEGRAL,
    },
}
"""Columns in which a golden that went on may differ from an undisturbed run, and why."""
OF_SOURCES: Final = ("source_rates", "source_current_rates")
"""Earlier versions did not count what sources said: `assert_sources_alike` compares (contract, section 4)."""
_SOURCE: Final = "task_type, model, config, source"
ON_KAFKA: Final = {
    "dead_letters": {
        "payload": "one that had to wait has none; which do hangs on how partitions interleave (contract, section 7)",
        "event_id": "a hash of that too",
    }
}
"""What may differ on Kafka besides."""


OF_VOLUMES: Final = {
    "alerts": "kind != 'volume'",
    "recommendations": "task_type NOT IN (SELECT task_type FROM alerts WHERE kind = 'volume')",
}
"""Compared of a golden from before decision 0024, whose volumes alarmed at other hours; a recommendation follows
each alert. `assert_volumes_alike` compares what is left out."""
OF_UNITS: Final = {"alerts": "kind != 'drift'", "recommendations": "false", "digests": "false"}
"""Compared of a golden from before decision 0026, whose baselines counted each outcome of a session in full."""


def tables(
    out: Path, *, kafka: bool = False, of_sources: bool = True, volumes: bool = True, units: bool = True
) -> dict[str, Counter[tuple[Any, ...]]]:
    """The rows of all tables of the newest snapshot, as multisets; those of sources where `of_sources`.

    Those that follow from alarms on volumes are there where `volumes`, from those on success rates where `units`.
    """
    found = {}
    names = table(out, "SELECT table_name FROM information_schema.tables WHERE table_catalog = current_database()")
    for (name,) in names:
        if name in OF_SOURCES and not of_sources:
            continue
        without = [*EXCEPT.get(name, ()), *(ON_KAFKA.get(name, ()) if kafka else ())]
        columns = [column for column in _columns(out, name) if column not in without]
        where = _compared(name, volumes=volumes, units=units)
        rows = table(out, f"SELECT {', '.join(map(_quoted, columns))} FROM {name} WHERE {where}")
        found[name] = Counter(_wordless(columns, row) for row in rows)
    return found


def assert_volumes_alike(out: Path, expected: Path) -> None:
    """The same volumes have alarmed in the same direction as in another run, whenever they did."""
    query = "SELECT DISTINCT task_type, metric, direction FROM alerts WHERE kind = 'volume' ORDER BY ALL"
    assert table(out, query) == table(expected, query)


def assert_drifts_alike(out: Path, expected: Path) -> None:
    """The same success rates have alarmed in the same direction as in another run, whenever they did."""
    query = "SELECT DISTINCT task_type, metric, direction FROM alerts WHERE kind = 'drift' ORDER BY ALL"
    assert table(out, query) == table(expected, query)


def assert_weights_alike(out: Path, expected: Path, *, volumes: bool = True, units: bool = True) -> None:
    """The weights of all recommendations are those of another run, but for the errors of the integral."""
    where = _compared("recommendations", volumes=volumes, units=units)
    columns = "task_type, seq, segment, model, config, weight, p_best"
    query = f"SELECT {columns} FROM recommendations WHERE {where} ORDER BY ALL"
    found, wanted = table(out, query), table(expected, query)
    assert [row[:5] for row in found] == [row[:5] for row in wanted]
    for row, other in zip(found, wanted, strict=True):
        assert row[5:] == pytest.approx(other[5:], abs=0.002), (row, other)


def assert_sources_alike(out: Path, expected: Path, held_from: datetime) -> None:
    """Of calls from an instant on all opinions of sources are those of another run; of earlier ones none is more.

    Args:
        out: of a run whose folder comes from a version that did not count them.
        expected: of one that counted all.
        held_from: since when no call had closed before it was upgraded.
    """
    first = held_from.replace(tzinfo=None)
    hourly = f"SELECT {_SOURCE}, grain, window_start, successes, failures, resolved, rate, rate_low FROM source_rates"
    spans = f"SELECT {_SOURCE}, span, as_of, successes, failures, resolved, rate, rate_low FROM source_current_rates"
    for query, has_all in ((hourly, lambda _, start: start >= first), (spans, lambda span, _: span != "7d")):
        found, wanted = ({row[:6]: row[6:] for row in table(one, query)} for one in (out, expected))
        assert found
        assert found.keys() <= wanted.keys()
        for key, counts in wanted.items():
            seen = found.get(key, (0, 0, 0, None, None))
            if has_all(*key[4:]):
                assert seen == counts, key
            assert all(one <= other for one, other in zip(seen[:3], counts[:3], strict=True)), key


def _compared(name: str, *, volumes: bool, units: bool) -> str:
    """Which rows of a table, in SQL."""
    of_volumes = "true" if volumes else OF_VOLUMES.get(name, "true")
    return f"({of_volumes}) AND ({'true' if units else OF_UNITS.get(name, 'true')})"


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
