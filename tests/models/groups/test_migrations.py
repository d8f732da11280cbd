"""A state of version 5 had task types that were no members; it goes on, and each call counts as it did."""

from __future__ import annotations

from typing import Any

import numpy as np

from aftercall.vocabulary import OTHER
from models import plain
from models.groups.members import EVER, TASKS
from models.groups.migrations import with_task_types
from models.groups.naming import LEAST_CALLS, Caps, Folding, Naming
from models.messages import Group

A, B, GONE, LATE = ("a", "m", "0"), ("b", "m", "0"), ("a", "m", "gone"), ("a", "m", "late")
FOREIGN = ("c", "m", "0")
ALL = (OTHER, OTHER, OTHER)


def version_5() -> dict[str, Any]:
    """`B` took the place of `GONE` in hour 3; `LATE` and `FOREIGN` fold under the cap on all."""
    return {
        "naming": {
            "names": [A, GONE, B],
            "turns": {1: [EVER, 3], 2: [3]},
            "tasks": {"a": EVER, "b": 3},
            "folded": {OTHER: {"counts": {3: {LATE: 2, FOREIGN: 5 * LEAST_CALLS}}, "totals": {3: 2 + 5 * LEAST_CALLS}}},
            "calls": {1: np.array([4, 1], np.int32), 3: np.array([LEAST_CALLS, 0, 3 * LEAST_CALLS], np.int32)},
            "newest": 3,
            "ended": 3,
        }
    }


def restored(caps: Caps) -> Naming:
    return Naming(caps, plain.unpack(plain.pack(with_task_types(plain.unpack(plain.pack(version_5())))["naming"])))


def placed(naming: Naming, name: Group) -> list[tuple[int, Group]]:
    return list(zip(*naming.route(name), strict=True))


def test_each_call_counts_as_it_did() -> None:
    naming = restored(Caps(2, 9, 2))
    assert placed(naming, A) == [(EVER, A)]
    assert placed(naming, GONE) == [(EVER, GONE), (3, ("a", OTHER, OTHER))]
    assert placed(naming, LATE) == [(EVER, ("a", OTHER, OTHER))]
    assert placed(naming, B) == [(EVER, ALL), (3, B)]
    assert placed(naming, ("b", "m", "1")) == [(EVER, ALL), (3, ("b", OTHER, OTHER))]
    assert placed(naming, FOREIGN) == [(EVER, ALL)]


def test_a_task_type_that_had_folded_under_the_cap_on_all_competes_as_a_whole() -> None:
    """With all its calls against all calls of the others, those under their `__other__` too."""
    naming = restored(Caps(2, 9, 2))
    assert naming.route(("d", "m", "0")).groups == [ALL]
    assert naming.began() == [Folding(TASKS, ("d", "m", "0"))]
    naming.end_hours(4)
    assert placed(naming, A) == [(EVER, A), (4, ("a", OTHER, OTHER))], "a has fewer calls than b"
    assert placed(naming, FOREIGN) == [(EVER, ALL), (4, ("c", OTHER, OTHER))]


def test_it_keeps_its_calls_by_task_type() -> None:
    names, calls = (restored(Caps(2, 9, 2)).state()[key] for key in ("names", "calls"))
    assert names == [A, GONE, B, ("a", OTHER, OTHER), ("b", OTHER, OTHER)]
    assert {hour: of_hour.tolist() for hour, of_hour in calls.items()} == {
        1: [4, 1, 0, 5, 0],
        3: [LEAST_CALLS, 0, 3 * LEAST_CALLS, LEAST_CALLS + 2, 3 * LEAST_CALLS],
    }
