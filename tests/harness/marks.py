"""A pytest plugin: marks that follow from where a test is or what it asks for, and limits that follow from marks."""

from __future__ import annotations

from pathlib import Path

import pytest

_TESTS = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of whole runs; statistics are as long as they are, and have no limit of wall-clock time."""
    for item in items:
        if item.path.is_relative_to(_TESTS / "system"):
            item.add_marker(pytest.mark.system)
        if item.get_closest_marker("statistics"):
            item.add_marker(pytest.mark.timeout(0))
