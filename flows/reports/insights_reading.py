"""Reads the arms' counts in the two spans that `insights` compares, as columns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray

from flows.reports.insights_columns import ARM_COUNTS, ArmColumns, TaskColumns
from flows.reports.insights_rates import Rates
from flows.reports.insights_spans import Spans
from flows.reports.snapshot_reader import has_column
from models.arrays import F64, I64, Objects

_CORRECTED: Final = {
    "corrected_rate": "rate",
    "corrected_low": "rate_low",
    "corrected_high": "rate_high",
    "maturity": "1.0",
}
"""Columns, and what stands for them where no verdict can come any more: the rate as it is."""
_POWER: Final = ("outcomes_per_day", "power_days", "power_within_week")
_SUMS: Final = ", ".join(f"sum({name})::BIGINT AS {name}" for name in ARM_COUNTS)


class Effects(NamedTuple):
    """Design effects of a task type's arms, and of all their outcomes together: conversations may go on across arms."""

    arms: Mapping[tuple[str, str], float]
    whole: float = 1.0


_NO_EFFECTS: Final = Effects(MappingProxyType({}))


def read_tasks(
    base: duckdb.DuckDBPyConnection, rates: Rates, spans: Spans, task: str | None = None, *, power: bool = False
) -> TaskColumns:
    """What is known of the arms that have calls in one of the spans, of a task type or of all of them, by name.

    `power`: with how soon a drop would be noticed, which earlier versions did not say.
    """
    query, values = _query(rates, spans, task, power=power and has_column(base, "current_rates", _POWER[-1]))
    found = base.execute(query, values).fetchnumpy()
    tasks, starts = _parts(found["task_type"]) if task is None else ([task], np.array([0, len(found["model"])]))
    arms = ArmColumns(
        found["model"],
        found["config"],
        np.array([found[f"{name}_before"] for name in ARM_COUNTS], np.int64),
        np.array([found[f"{name}_after"] for name in ARM_COUNTS], np.int64),
        _numbers(found, _CORRECTED),
        found["known"],
        np.ones(len(found["known"])),
        _numbers(found, _POWER),
    )
    return with_effects(TaskColumns(tasks, starts, arms, np.ones(len(tasks))), read_effects(base, task))


def read_effects(base: duckdb.DuckDBPyConnection, task: str | None = None) -> dict[str, Effects]:
    """How far outcomes that share conversations tell less, of a task type or of all; earlier versions did not say."""
    if not has_column(base, "current_rates", "design_effect"):
        return {}
    query = f"""
        SELECT DISTINCT task_type, model, config, design_effect, task_design_effect FROM current_rates
        WHERE {_of(task)} AND greatest(design_effect, task_design_effect) > 1
    """
    arms: dict[str, dict[tuple[str, str], float]] = {}
    wholes: dict[str, float] = {}
    for name, model, config, own, whole in base.execute(query, _given(task)).fetchall():
        arms.setdefault(name, {})[model, config] = own
        wholes[name] = whole
    return {name: Effects(own, wholes[name]) for name, own in arms.items()}


def _query(rates: Rates, spans: Spans, task: str | None, *, power: bool) -> tuple[str, list[Any]]:
    """The query of all columns, one row for each arm in order, and the values of its placeholders."""
    before, of_before = _of_hours(rates, task, spans.before, spans.start)
    after, of_after = _of_hours(rates, task, spans.start, spans.end)
    if spans.named is not None:
        after, of_after = _of_span(rates, task, spans.named)
    delays, of_delays = ("", []) if not power else (_delays(task), _given(task))
    by = _group(task)
    query = f"""
        SELECT {by}, {_listed(named=spans.named is not None, power=power)}
        FROM ({before}) b FULL JOIN ({after}) a USING ({by}) {delays} ORDER BY {by}
    """
    return query, [*of_before, *of_after, *of_delays]


def _listed(*, named: bool, power: bool) -> str:
    """The columns, with 0 and nan for what is absent."""
    counts = [f"coalesce({side[0]}.{name}, 0) AS {name}_{side}" for side in ("before", "after") for name in ARM_COUNTS]
    corrected = [_number(f"a.{name}" if named else "NULL", name) for name in _CORRECTED]
    delays = [_number(f"p.{name}" if power else "NULL", name) for name in _POWER]
    known = f"{named} AND a.calls IS NOT NULL AS known"
    return ", ".join([*counts, known, *corrected, *delays])


def _number(value: str, name: str) -> str:
    return f"coalesce({value}, 'nan'::DOUBLE) AS {name}"


def _of_hours(rates: Rates, task: str | None, start: datetime, end: datetime) -> tuple[str, list[Any]]:
    """The counts of the arms in the hours of [start, end)."""
    query = f"""
        SELECT {_group(task)}, {_SUMS} FROM {rates.hours}
        WHERE {_of(task)} AND grain = '1h' AND window_start >= ? AND window_start < ? GROUP BY {_group(task)}
    """
    ends = [start.replace(tzinfo=None), end.replace(tzinfo=None)]
    return query, [*rates.values, *_given(task), *ends]


def _of_span(rates: Rates, task: str | None, span: str) -> tuple[str, list[Any]]:
    """The counts and corrected rates of the arms in a span of `current_rates`."""
    corrected = ", ".join(
        f"CASE WHEN pending = 0 AND rate IS NOT NULL THEN {plain} ELSE {name} END AS {name}"
        for name, plain in _CORRECTED.items()
    )
    query = f"""
        SELECT {_group(task)}, {", ".join(ARM_COUNTS)}, {corrected} FROM {rates.current}
        WHERE {_of(task)} AND span = ? AND calls > 0
    """
    return query, [*rates.values, *_given(task), span]


def _delays(task: str | None) -> str:
    """How soon a drop would be noticed, of arms with outcomes in the last week."""
    return f"""
        LEFT JOIN (
            SELECT {_group(task)}, {", ".join(_POWER)} FROM current_rates
            WHERE {_of(task)} AND span = '7d' AND {_POWER[-1]} IS NOT NULL
        ) p USING ({_group(task)})
    """


def _group(task: str | None) -> str:
    """What tells arms apart; to group the hours of one task type by its name too takes a sixth longer."""
    return "task_type, model, config" if task is None else "model, config"


def _of(task: str | None) -> str:
    return "true" if task is None else "task_type = ?"


def _given(task: str | None) -> list[Any]:
    return [] if task is None else [task]


def _numbers(found: Mapping[str, NDArray[Any]], names: Mapping[str, Any] | tuple[str, ...]) -> F64:
    return np.array([found[name] for name in names], np.float64)


def _parts(names: Objects) -> tuple[list[str], I64]:
    """The task types, and where their arms begin and end."""
    (changes,) = np.nonzero(names[1:] != names[:-1])
    starts = np.unique([0, *(changes + 1), len(names)])
    return names[starts[:-1]].tolist(), starts


def with_effects(found: TaskColumns, effects: Mapping[str, Effects]) -> TaskColumns:
    """With design effects; of an arm that has none, that of its task type, as it has shared nothing lately."""
    starts, names = found.starts.tolist(), found.arms
    for at, task in enumerate(found.tasks if effects else []):
        of, part = effects.get(task, _NO_EFFECTS), slice(starts[at], starts[at + 1])
        keys = zip(names.models[part].tolist(), names.configs[part].tolist(), strict=True)
        found.arms.effect[part] = [of.arms.get(key, of.whole) for key in keys]
        found.wholes[at] = of.whole
    return found
