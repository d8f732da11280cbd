"""`aftercall demo` and `aftercall simulate`."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.waiting import HANG_S
from system.commands import aftercall, assert_one_sentence
from system.replays import start, wait_for

pytestmark = pytest.mark.slow  # each starts processes


def test_the_demo_leaves_other_folders_alone(sound: Path) -> None:
    assert_one_sentence(aftercall(sound, "demo", "--out", "."), 2, "must be empty or hold an earlier demo")
    assert {path.name for path in sound.iterdir()} == {"calls.jsonl", "outcomes.jsonl"}


@pytest.mark.slow
def test_an_interrupted_demo_can_be_started_again(tmp_path: Path) -> None:
    running = start(tmp_path, "demo", "--out", "demo")
    wait_for(tmp_path / "demo" / "calls.jsonl")
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=HANG_S)
    assert (running.returncode, stderr.count("\n")) == (130, 1)
    again = start(tmp_path, "demo", "--out", "demo")
    wait_for(tmp_path / "demo" / "calls.jsonl")
    assert again.poll() is None
    again.send_signal(signal.SIGINT)
    _, stderr = again.communicate(timeout=HANG_S)
    assert "must be empty" not in stderr


def test_simulate_writes_over_nothing(tmp_path: Path) -> None:
    """A second run into the same folder is refused, and the first one's files stay."""
    first = aftercall(tmp_path, "simulate", "--out", "sim", "--days", "0.1")
    assert first.returncode == 0
    before = (tmp_path / "sim" / "calls.jsonl").read_bytes()
    second = aftercall(tmp_path, "simulate", "--out", "sim", "--days", "0.2")
    assert second.returncode == 2
    assert "must hold no calls.jsonl" in second.stderr
    assert (tmp_path / "sim" / "calls.jsonl").read_bytes() == before
