"""Folders that the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from system.commands import aftercall, call, lines, outcome
from system.replays import CALLS, REPLAY


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A folder with a file of calls and one of outcomes."""
    (tmp_path / "calls.jsonl").write_bytes(lines(map(call, range(CALLS))))
    (tmp_path / "outcomes.jsonl").write_bytes(lines(map(outcome, range(CALLS))))
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files and their finished run, for tests that only look."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "calls.jsonl").write_bytes(lines(map(call, range(CALLS))))
    (folder / "outcomes.jsonl").write_bytes(lines(map(outcome, range(CALLS))))
    assert aftercall(folder, *REPLAY).returncode == 0
    return folder
