"""Runs the demo: simulates traffic with a hidden incident, replays it, and prints the report."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from aftercall.errors import UsageError
from flows.demo.simulate import simulate
from flows.replay import Replay, run
from flows.reports.demo_report import report
from flows.runtime.progress import Progress
from flows.runtime.run_folder import FOLDERS, OUTPUTS, state_folder
from flows.settings import load

TRAFFIC = ("calls.jsonl", "outcomes.jsonl", "truth.json")
MARK = ".aftercall-demo"
"""Marks the folder of a demo, finished or not: only in such a folder are files removed."""


def demo(out: Path, console: Console, progress_console: Console) -> None:
    """Write traffic to `out`, replay it there, and print the report. About 20 s.

    Raises:
        UsageError: `out` holds something other than an earlier demo.
        RunError: `out` cannot be written to.
    """
    _make_room(out)
    console.print("Simulating two weeks of traffic; one model will silently get worse in one task.")
    made = simulate(out)
    with Progress(progress_console, "replaying") as progress:
        run(Replay([made.calls], [made.outcomes], out, load()), progress.update)
    report(out, console, made.truth)


def _make_room(out: Path) -> None:
    """Create the folder, and remove an earlier demo from it, but nothing else."""
    if out.is_dir() and any(out.iterdir()):
        if not (out / MARK).exists():
            msg = f"{out}: must be empty or hold an earlier demo; it holds something else (choose another --out)"
            raise UsageError(msg)
        for folder in FOLDERS:
            shutil.rmtree(out / folder, ignore_errors=True)
        for path in (*(out / name for name in (*TRAFFIC, *OUTPUTS)), *out.glob("outcomes*.duckdb")):
            path.unlink(missing_ok=True)
    state_folder(out)
    (out / MARK).touch()
