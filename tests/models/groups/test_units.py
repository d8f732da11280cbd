"""Trials by unit of evidence leave with their minute: summed over shards, under the names that count, once."""

from __future__ import annotations

from typing import Any

import numpy as np

from aftercall.times import MINUTE_US
from aftercall.vocabulary import OTHER
from models import plain
from models.groups.groups import Groups
from models.groups.naming import Caps
from models.messages import NO_UNITS, Changes, Closed, Group, UnitTrials
from models.stats.lateness import TOO_LATE
from suites.of_groups import changes

A, B, FOLDED = ("t", "a", "1"), ("t", "b", "1"), ("t", OTHER, OTHER)
HIGH = 2**64 - 1
Row = tuple[int, int, int, int, int]


def _units(*rows: Row) -> UnitTrials:
    """Rows of (code, minute, unit, success, count)."""
    code, minute, unit, success, count = zip(*rows, strict=True)
    ints = [np.array(column, np.int32) for column in (code, minute, count)]
    return UnitTrials(ints[0], ints[1], np.array(unit, np.uint64), np.array(success, np.int8), ints[2])


def _sent(minute: int, names: list[Group], *rows: Row, shard: str = "00", until: int | None = None) -> Changes:
    sent = changes(minute, *names, shard=shard)
    units = _units(*rows)
    hours = sent.hours._replace(units=units.minute // 60)
    watermark = sent.watermark if until is None else until * MINUTE_US
    return sent._replace(units=units, hours=hours, watermark=watermark)


def _rows(closed: Closed | None) -> list[tuple[Any, ...]]:
    """(minute, group, unit, success, count) in their order."""
    assert closed is not None
    columns = (column.tolist() for column in closed.units)
    return [(minute, closed.names[code], *rest) for code, minute, *rest in zip(*columns, strict=True)]


def _resumed(groups: Groups, shards: int, caps: Caps) -> Groups:
    return Groups.from_state(plain.unpack(plain.pack(groups.state())), shards, caps)


def test_units_are_summed_over_shards_and_batches_and_what_cancels_out_is_dropped() -> None:
    groups, caps = Groups(2, Caps(9, 99, 99)), Caps(9, 99, 99)
    first = [(1, 5, HIGH, 1, 1), (1, 5, 7, 0, 1), (0, 5, 7, 1, 2), (0, 6, 7, 1, 1), (0, 5, 8, 1, 1)]
    second = [(0, 5, 8, 1, -1), (0, 5, 7, 1, 1), (0, 5, 2**63, 0, 1), (1, 4, 9, 1, 1), (1, 4, 9, 1, -1)]
    for shard, rows in (("00", first), ("01", second), ("00", [(0, 5, 7, 0, 1)])):
        groups = _resumed(groups, 2, caps)
        closed = groups.process(_sent(6, [A, B], *rows, shard=shard, until=6)).closed
        if shard == "01":
            assert _rows(closed) == [
                (5, A, 7, 1, 3),
                (5, A, 2**63, 0, 1),
                (5, B, 7, 0, 1),
                (5, B, HIGH, 1, 1),
            ]
    groups.process(changes(7, A, shard="01"))
    assert _rows(groups.process(changes(7, A)).closed) == [(5, A, 7, 0, 1), (6, A, 7, 1, 1)]


def test_units_of_groups_that_fold_are_those_of_their_task_type() -> None:
    groups = Groups(1, Caps(1, 99, 99))
    folding = [A, B, ("t", "z", "1")]
    closed = groups.process(_sent(5, folding, (0, 5, 7, 1, 1), (1, 5, 7, 1, 1), (2, 5, 7, 1, 1))).closed
    assert _rows(closed) == [(5, FOLDED, 7, 1, 2), (5, A, 7, 1, 1)]


def test_units_of_calls_that_came_too_late_are_evidence_of_nothing_as_their_trials_are() -> None:
    groups = Groups(1, Caps(9, 99, 99))
    sent = _sent(5, [A, A], (0, 5, 7, 1, 1), (1, 5, 8, 1, 1))._replace(late=(0, TOO_LATE))
    closed = groups.process(sent).closed
    assert _rows(closed) == [(5, A, 7, 1, 1)]
    assert closed is not None
    assert closed.trials.trial_successes.tolist() == [1]


def test_a_group_of_which_only_units_are_left_keeps_its_name() -> None:
    """A trial gained and one lost within a minute cancel out in the sum of trials, and not in those of units."""
    groups = Groups(1, Caps(9, 99, 99))
    sent = _sent(5, [A, B], (1, 5, 7, 1, 1), (1, 5, 8, 1, -1))
    only = {name: type(table)(*(column[:1] for column in table)) for name, table in _tables(sent).items()}
    hours = sent.hours._replace(quarters=sent.hours.quarters[:1])
    closed = groups.process(sent._replace(hours=hours, **only)).closed
    assert _rows(closed) == [(5, B, 7, 1, 1), (5, B, 8, 1, -1)]


def _tables(sent: Changes) -> dict[str, Any]:
    return {name: getattr(sent, name) for name in ("trials", "values", "responses", "scores", "failed")}


def test_plain_traffic_has_none() -> None:
    groups = Groups(1, Caps(9, 99, 99))
    closed = groups.process(changes(5, A, B)).closed
    assert closed is not None
    assert closed.units is NO_UNITS or not len(closed.units.code)
    assert groups.state()["units"] == []


def test_a_state_of_before_has_none_and_goes_on() -> None:
    groups, caps = Groups(1, Caps(9, 99, 99)), Caps(9, 99, 99)
    groups.process(changes(5, A)._replace(watermark=5 * MINUTE_US))
    before = {name: part for name, part in groups.state().items() if name != "units"}
    resumed = Groups.from_state(Groups.MIGRATIONS[8](plain.unpack(plain.pack(before))), 1, caps)
    assert _rows(resumed.process(_sent(6, [A], (0, 6, 7, 1, 1))).closed) == [(6, A, 7, 1, 1)]
