"""What a service prepares before its processes start."""

from __future__ import annotations

from pathlib import Path

import pytest

from aftercall.times import NEVER
from connectors.kafka.progress_board import ProgressBoard
from connectors.kafka.waiting_board import WaitingBoard
from flows.dataflow.shards import SHARDS
from flows.runtime.run_folder import state_folder
from flows.service.resume import resume
from flows.service.service_run import ServiceRun
from flows.settings import load

LANES = 3


@pytest.mark.parametrize("before", [None, b"", b"\1" * 8 * LANES, b"\1" * 64 * LANES])
def test_the_files_that_processes_share_are_whole_before_these_start(tmp_path: Path, before: bytes | None) -> None:
    """Also one of an earlier version. Two processes that make one at once may be killed: it is cut off while mapped."""
    config, out = tmp_path / "aftercall.toml", tmp_path / "out"
    config.write_text(f'[kafka]\nbrokers = "127.0.0.1:1"\nlanes = {LANES}\n')
    state = state_folder(out)
    if before is not None:
        (state / "lead").write_bytes(before)
    resume(ServiceRun(load(config), out), state, "cluster")
    made = {name: (state / name).stat().st_mtime_ns for name in ("lead", "waiting")}
    assert (ProgressBoard(state / "lead", LANES).read_to(), WaitingBoard(state / "waiting", len(SHARDS)).needed()) == (
        NEVER,
        None,
    )
    assert {name: (state / name).stat().st_mtime_ns for name in made} == made
