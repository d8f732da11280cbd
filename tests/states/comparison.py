"""Every table of a snapshot, without what two runs may differ in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import duckdb
import pytest

from states.published import newest
from system.commands import table

INTEGRAL: Final = "a golden keeps the weights of its time, whose integral was coarser; `assert_weights_alike` compares"
SENTENCES: Final = "a golden keeps the words of its time, and `event_id` is a hash of them"
UNKEPT: Final = "calls of before these columns have nothing in them"
WIDTH: Final = "a golden did not count which outcomes shared a session before it; `assert_intervals_alike` compares"
FACETS: Final = "a golden of before did not know the facets of the calls that it held, nor of outcomes before"
DATED: Final = "a golden of before dated outcomes by their arrival, not by their calls: `assert_weights_alike` compares"
MANY: Final = 20
"""From so many outcomes on, intervals do not hang on whether two or three of them shared a session."""
_ENDS: Final = dict.fromkeys(("rate_low", "rate_high", "corrected_low", "corrected_high"), WIDTH)
EXCEPT: Final[dict[str, dict[str, str]]] = {
    "rates": _ENDS,
    "segment_rates": _ENDS,
    "source_rates": _ENDS,
    "source_current_rates": _ENDS,
    "current_rates": _ENDS
    | dict.fromkeys(("power_days", "power_within_week", "design_effect", "task_design_effect"), WIDTH),
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
    "alerts": {"reason": SENTENCES, "event_id": SENTENCES, "mixes": FACETS},
    "recommendations": {
        "reason": SENTENCES,
        "event_id": SENTENCES,
        "recommendation_id": SENTENCES,
        "weight": INTEGRAL,
        "p_best": INTEGRAL,
        "rate_low": WIDTH,
        "rate_high": WIDTH,
        "rate": DATED,
        "n": DATED,
        "status": DATED,
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


OF_VOLUMES: Final = ("volume",)
"""Kinds of alerts that are not compared of a golden from before decision 0024, whose volumes alarmed at other hours:
`assert_volumes_alike` compares them."""
OF_ONE_CAUSE: Final = ("drift", "quantile", "shift")
"""The same of one from before decisions 0026, 0031 and 0039, whose baselines counted outcomes of a session or a burst
in full or more, and 0027, which had an alert for each metric: `assert_alarms_alike` compares."""


OF_SILENCE: Final = "silence"
"""No kind: the same of recommendations alone, of one from before decision 0056, which did not hold who was silent."""


def _where(name: str, kinds: Sequence[str]) -> str:
    """Which rows of a table are compared where alerts of `kinds` are not: recommendations follow each alert."""
    of_kinds, of_rates = f"kind IN {('', 'none', *kinds)}", "false" if "drift" in kinds else "true"
    volumes = "kind = 'volume' OR contains(other_alarms::VARCHAR, 'volume')" if OF_SILENCE in kinds else "false"
    return {
        "alerts": f"NOT {of_kinds}",
        "digests": of_rates,
        "suspicions": of_rates,
        "recommendations": f"task_type NOT IN (SELECT task_type FROM alerts WHERE {of_kinds} OR {volumes})",
    }.get(name, "true")


def tables(
    out: Path, *, kafka: bool = False, of_sources: bool = True, of_trust: bool = True, kinds: Sequence[str] = ()
) -> dict[str, Counter[tuple[Any, ...]]]:
    """The rows of all tables of the newest snapshot, as multisets; of sources and trust where these.

    Without alerts of these `kinds`, and the recommendations that follow them.
    """
    of = _Compared(kafka, of_sources, of_trust, tuple(kinds))
    return dict(_tables(out, newest(out), of))


class _Compared(NamedTuple):
    """What `tables` reads."""

    kafka: bool
    of_sources: bool
    of_trust: bool
    kinds: tuple[str, ...]


@lru_cache(maxsize=8)
def _tables(out: Path, _newest: object, of: _Compared) -> dict[str, Counter[tuple[Any, ...]]]:
    """Kept, as one run is compared with several others; who gets them changes nothing in them."""
    found = {}
    with duckdb.connect(str((out / "outcomes.duckdb").resolve()), read_only=True) as snapshot:  # takes 25 ms of CPU
        for name, columns in _columns(snapshot).items():
            if (name in OF_SOURCES and not of.of_sources) or (name == "trust" and not of.of_trust):
                continue
            without = [*EXCEPT.get(name, ()), *(ON_KAFKA.get(name, ()) if of.kafka else ())]
            read = [column for column in columns if column not in without]
            query = f"SELECT {', '.join(map(_quoted, read))} FROM {name} WHERE {_where(name, of.kinds)}"
            rows = snapshot.execute(query).fetchall()
            found[name] = Counter(_wordless(read, row) for row in rows) if "degraded" in read else Counter(rows)
    return found


def assert_volumes_alike(out: Path, expected: Path) -> None:
    """The same volumes have alarmed in the same direction as in another run, whenever they did."""
    query = "SELECT DISTINCT task_type, metric, direction FROM alerts WHERE kind = 'volume' ORDER BY ALL"
    assert table(out, query) == table(expected, query)


def assert_alarms_alike(out: Path, expected: Path) -> None:
    """The same metrics have changed in the same direction as in another run, in their own alerts or beside others."""
    found, wanted = (_changed(one) for one in (out, expected))
    assert found == wanted != set()


def _changed(out: Path) -> set[tuple[str, str, str]]:
    query = f"SELECT task_type, metric, direction, other_alarms FROM alerts WHERE kind IN {OF_ONE_CAUSE}"
    rows = [row for *first, others in table(out, query) for row in [first, *map(_named, json.loads(others or "[]"))]]
    return {(task, metric.replace(":p10", "").replace(":p50", ""), direction) for task, metric, direction in rows}


def _named(other: dict[str, str]) -> list[str]:
    return [other["task_type"], other["metric"], other["direction"]]


def assert_weights_alike(out: Path, expected: Path, kinds: Sequence[str] = ()) -> None:
    """The weights of all recommendations are those of another run, but for three errors.

    Those of an integral that was coarser, of what outcomes shared before the golden, which it did not count, and of
    outcomes that it dated by their arrival.
    """
    where = _where("recommendations", kinds)
    columns = "task_type, seq, segment, model, config, weight, p_best"
    query = f"SELECT {columns} FROM recommendations WHERE {where} ORDER BY ALL"
    found, wanted = table(out, query), table(expected, query)
    assert [row[:5] for row in found] == [row[:5] for row in wanted]
    for row, other in zip(found, wanted, strict=True):
        assert row[5:] == pytest.approx(other[5:], abs=0.03), (row, other)


def assert_intervals_alike(out: Path, expected: Path) -> None:
    """Intervals of rates are those of another run, but for the outcomes that shared a session before the golden."""
    for name, keys in (("rates", "grain, window_start"), ("current_rates", "span, as_of")):
        query = f"SELECT task_type, model, config, {keys}, resolved, rate_low, rate_high FROM {name} ORDER BY ALL"
        found, wanted = table(out, query), table(expected, query)
        assert [row[:6] for row in found] == [row[:6] for row in wanted]
        for row, other in zip(found, wanted, strict=True):
            assert row[5] < MANY or row[6:] == pytest.approx(other[6:], abs=0.05), (row, other)


def assert_sources_alike(out: Path, expected: Path, held_from: datetime) -> None:
    """Of calls from an instant on all opinions of sources are those of another run; of earlier ones none is more.

    Args:
        out: of a run whose folder comes from a version that did not count them.
        expected: of one that counted all.
        held_from: since when no call had closed before it was upgraded.
    """
    first = held_from.replace(tzinfo=None)
    hourly = f"SELECT {_SOURCE}, grain, window_start, successes, failures, resolved, rate FROM source_rates"
    spans = f"SELECT {_SOURCE}, span, as_of, successes, failures, resolved, rate FROM source_current_rates"
    for query, has_all in ((hourly, lambda _, start: start >= first), (spans, lambda span, _: span != "7d")):
        found, wanted = ({row[:6]: row[6:] for row in table(one, query)} for one in (out, expected))
        assert found
        assert found.keys() <= wanted.keys()
        for key, counts in wanted.items():
            seen = found.get(key, (0, 0, 0, None))
            if has_all(*key[4:]):
                assert seen == counts, key
            assert all(one <= other for one, other in zip(seen[:3], counts[:3], strict=True)), key


def assert_trust_alike(out: Path, expected: Path) -> None:
    """The same series have a score at last as in another run that counted all their checks; none has more of them."""
    query = "SELECT task_type, model, config, as_of, formula, dimensions FROM trust WHERE newest ORDER BY ALL"
    found, wanted = ({row[:5]: json.loads(row[5]) for row in table(one, query)} for one in (out, expected))
    assert found
    assert found.keys() <= wanted.keys()
    for series, dimensions in found.items():
        most = {part["dimension"]: part["n"] for part in wanted[series]}
        assert all(part["n"] <= most[part["dimension"]] for part in dimensions), series


def _columns(snapshot: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The columns of each table, in their order."""
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_catalog = current_database()"
    found: dict[str, list[str]] = {}
    for name, column in snapshot.execute(f"{query} ORDER BY table_name, ordinal_position").fetchall():
        found.setdefault(name, []).append(column)
    return found


def _wordless(columns: list[str], row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without the sentences within `degraded`, which are those of alerts."""
    return tuple(
        json.dumps([{**entry, "reason": ""} for entry in json.loads(value)]) if column == "degraded" else value
        for column, value in zip(columns, row, strict=True)
    )


def _quoted(column: str) -> str:
    return f'"{column}"'
