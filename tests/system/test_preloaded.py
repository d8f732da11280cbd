"""A command in a process that has loaded the pipeline already does what it does in a fresh one."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import minutes
from system.commands import aftercall, fresh_aftercall
from system.replays import REPLAY

pytestmark = pytest.mark.slow  # each starts processes


@pytest.mark.parametrize("arguments", [("check", "--no-broker"), ("insights", "t"), ("nonsense",)])
def test_both_end_and_print_alike(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    settings = {"AFTERCALL_ROUTING__FLOOR": "0.02", "COLUMNS": "60"}
    loaded, fresh = (run(tmp_path, *arguments, **settings) for run in (aftercall, fresh_aftercall))
    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (fresh.returncode, fresh.stdout, fresh.stderr)


def test_a_replay_in_a_fresh_process_ends_as_quietly(sound: Path) -> None:
    """That of the other one is not taken apart at its end."""
    loaded, fresh = (
        run(sound, *REPLAY[:-1], name) for run, name in ((aftercall, "loaded"), (fresh_aftercall, "fresh"))
    )
    assert (fresh.returncode, fresh.stderr) == (loaded.returncode, loaded.stderr) == (0, "")
    assert fresh.stdout == loaded.stdout.replace("loaded/", "fresh/")


def test_what_it_took_is_counted_for_the_test_that_gave_it(tmp_path: Path) -> None:
    before = minutes.counted_s()
    aftercall(tmp_path, "check", "--no-broker")
    assert minutes.counted_s() > before


def test_a_command_knows_nothing_of_the_one_before(tmp_path: Path) -> None:
    first = aftercall(tmp_path, "check", "--no-broker", AFTERCALL_ROUTING__FLOOR="0.02").stdout
    (tmp_path / "elsewhere").mkdir()
    assert aftercall(tmp_path / "elsewhere", "check", "--no-broker").stdout != first
    assert aftercall(tmp_path, "check", "--no-broker", AFTERCALL_ROUTING__FLOOR="0.02").stdout == first
