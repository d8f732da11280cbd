"""Settings of local time on the command line: refused with one sentence, printed by `check`, named by a replay."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from system.commands import aftercall, assert_one_sentence

pytestmark = pytest.mark.slow
SETTINGS = """[task.summarise]
timezone = "Europe/Berlin"
[[calendar.planned]]
from = 2026-05-11T08:00:00Z
to = 2026-05-11T20:00:00Z
task = "summarise"
"""


def test_a_zone_that_is_none_ends_a_replay_before_it_starts(sound: Path) -> None:
    (sound / "aftercall.toml").write_text('[task.a]\ntimezone = "Mars/Olympus"\n')
    done = aftercall(sound, "replay", "--calls", "calls.jsonl", "--config", "aftercall.toml", "--out", "out")
    assert_one_sentence(done, 2, "aftercall.toml: task.a.timezone must be a time zone", "'Mars/Olympus'")
    assert not (sound / "out").exists()


def test_planned_work_is_told_by_a_replay_and_printed_by_check_as_it_is_read(sound: Path) -> None:
    (sound / "aftercall.toml").write_text(SETTINGS)
    files = ("--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl")
    done = aftercall(sound, "replay", *files, "--config", "aftercall.toml", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "while work is planned: task type 'summarise', 2026-05-11 08:00 to 2026-05-11 20:00 UTC" in done.stderr
    shown = aftercall(sound, "check", "--config", "aftercall.toml", "--no-broker")
    (planned,) = tomllib.loads(shown.stdout)["calendar"]["planned"]
    assert planned == {"from": "2026-05-11T08:00:00Z", "to": "2026-05-11T20:00:00Z", "task": "summarise"}
