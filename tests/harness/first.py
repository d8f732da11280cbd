"""A pytest plugin: tests that take a minute or more begin first, so that a run does not end with one of them alone.

pytest-xdist gives each process a stretch of the tests, in their order; those marked `first` are dealt to the beginnings
of the stretches.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import pytest

_T = TypeVar("_T")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Reorder, the same in each process; nothing where there is only one."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        first = [item for item in items if item.get_closest_marker("first")]
        items[:] = dealt(first, [item for item in items if not item.get_closest_marker("first")], processes)


def dealt(first: Sequence[_T], others: Sequence[_T], processes: int) -> list[_T]:
    """All of them, in one stretch for each process that begins with its share of `first`."""
    stretches = [list(first[number::processes]) for number in range(processes)]
    each, left = divmod(len(first) + len(others), processes)
    taken = 0
    for number, stretch in enumerate(stretches):
        room = each + (number < left) - len(stretch)
        stretch.extend(others[taken : taken + room])
        taken += room
    return [one for stretch in stretches for one in stretch]
