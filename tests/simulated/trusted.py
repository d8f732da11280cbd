"""Closed minutes for trust, from rows of plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from aftercall.times import MINUTES_PER_HOUR
from models.messages import NO_VALUES, Attempts, Closed, ErrorTrials, Group, Responses, SharedTrials, TrialDeltas
from models.side_messages import CheckedRule, CheckTrials

START: Final = 24 * 20_700 * MINUTES_PER_HOUR
"""Midnight, in minutes."""
A: Final[Group] = ("support", "a", "v1")
B: Final[Group] = ("support", "b", "v1")
RULES: Final = (
    CheckedRule("refund", "3", "fast", "latency"),
    CheckedRule("refund", "3", "no_card", "safety"),
    CheckedRule("refund", "3", "kind", "safety"),
)
SOURCES: Final = ("call", "judge", "silence", "user_feedback")


class Minute(NamedTuple):
    """What a minute had of a group; `taken_back`: successes that became failures. `checks`: passed, failed by rule."""

    minute: int
    group: Group
    calls: int = 0
    good: int = 0
    bad: int = 0
    bucket: int = 0
    taken_back: int = 0
    errors: int = 0
    attempts: int = 0
    up: int = 0
    down: int = 0
    checks: tuple[tuple[int, int], ...] = ((0, 0),) * 3
    excess: int = 0
    silence: int = 0
    """Successes by silence."""


def closed(rows: Sequence[Minute], through: int) -> Closed:
    """One message of all minutes before `through`; rows of one minute and group are distinct."""
    rows = sorted(rows, key=lambda row: (row.minute, row.group))
    names = sorted({row.group for row in rows})

    def table(kind: type[Any], columns: Any) -> Any:
        """Rows of columns behind code and minute, those that are all nothing left out."""
        found = [
            (names.index(row.group), row.minute, *values)
            for row in rows
            for values in columns(row)
            if any(values[-kept_of(kind) :])
        ]
        width = len(kind._fields)
        return kind(*np.array(found, np.int64).reshape(-1, width).T.astype(np.int32))

    def responses(row: Minute) -> list[tuple[int, ...]]:
        return [
            (1, 0, row.bucket, 0, row.bad + row.taken_back),
            (1, 1, row.bucket, 0, row.good),
            (2, 1, row.bucket, 0, row.silence),
            (3, 0, 0, row.down, 0),
            (3, 1, 0, row.up, 0),
        ]

    trials = table(
        TrialDeltas,
        lambda row: [
            (
                row.good + row.silence,
                row.bad + row.taken_back,
                row.good + row.silence - row.taken_back,
                row.bad + row.taken_back,
                row.calls + row.attempts,
            )
        ],
    )
    return Closed(
        through,
        list(names),
        trials,
        NO_VALUES,
        sources=SOURCES,
        responses=table(Responses, responses),
        errors=("timeout",),
        failed=table(ErrorTrials, lambda row: [(0, row.errors + row.attempts)]),
        attempts=table(Attempts, lambda row: [(row.minute // MINUTES_PER_HOUR, row.attempts)]),
        shared=table(SharedTrials, lambda row: [(row.excess,)]),
        rules=RULES,
        checks=table(CheckTrials, lambda row: [(at, *both) for at, both in enumerate(row.checks)]),
    )


def kept_of(kind: type[Any]) -> int:
    """How many columns at the end of a table are counts: a row without any is left out."""
    return {TrialDeltas: 5, Responses: 2, CheckTrials: 2}.get(kind, 1)


def cut(rows: Sequence[Minute], cuts: Sequence[int], through: int) -> list[Closed]:
    """The same minutes in messages that end at `cuts`."""
    ends = [*sorted({end for end in cuts if end < through}), through]
    starts = [-1, *ends[:-1]]
    return [
        closed([row for row in rows if low <= row.minute < high], high) for low, high in zip(starts, ends, strict=True)
    ]
