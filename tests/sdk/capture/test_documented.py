"""docs/producers.md leads from an agent to its first call in the snapshot, and shows outcomes that are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from aftercall import Client
from aftercall.testing import MemoryTransport
from system.documents import blocks, document, missing, run, shells

PAGE = document("docs/producers.md")


@pytest.mark.slow
def test_the_first_call_reaches_the_snapshot_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    steps = shells(PAGE)
    assert len(steps) == 3  # the last is the guard
    for step in steps[:2]:
        assert step.shown
        assert missing(step.shown, run(step.commands, tmp_path)) == []


def test_the_outcomes_shown_are_valid(client: Client, memory: MemoryTransport) -> None:
    (example,) = (block for block in blocks(PAGE, "python") if "client.outcome(" in block)
    exec(compile(example, "docs/producers.md", "exec"), {"client": client, "call_id": "c1"})  # noqa: S102
    assert [outcome.get("action", "assert") for outcome in memory.outcomes] == ["assert"] * 4 + ["retract"] * 2


@pytest.mark.slow
def test_an_answer_is_checked_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    step = shells(PAGE)[2]
    assert step.shown
    assert missing(step.shown, run(step.commands, tmp_path)) == []
