"""The demo: simulated traffic with a hidden incident, the real dataflow over it, and the report."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console

from aftercall.errors import UsageError
from flows.demo.simulate import simulate
from flows.replay import Replay, run
from flows.reports.demo_report import report
from flows.runtime.progress import Progress
from flows.runtime.run_folder import OUTPUTS, state_folder
from flows.settings import load

TRAFFIC = ("calls.jsonl", "outcomes.jsonl", "truth.json")
MARK = ".aftercall-demo"
"""A folder that holds it is a demo's, finished or not: only there may files be removed."""


def demo(out: Path, console: Console, progress_console: Console) -> None:
    """Write traffic to `out`, replay it there, and print what a platform lead wants to know. About 20 s.

    Raises:
        UsageError: `out` holds something other than an earlier demo.
        RunError: it cannot be written to.
    """
    _make_room(out)
    console.print("Simulating two weeks of traffic; one model will silently get worse in one task.")
    made = simulate(out)
    with Progress(progress_console, "replaying") as progress:
        run(Replay([made.calls], [made.outcomes], out, load()), progress.update)
    report(out, console, made.truth)


def _make_room(out: Path) -> None:
    """Remove an earlier demo, and nothing else."""
    if out.is_dir() and any(out.iterdir()):
        if not (out / MARK).exists():
            msg = f"{out}: must be empty or hold an earlier demo; it holds something else (choose another --out)"
            raise UsageError(msg)
        shutil.rmtree(out / "state", ignore_errors=True)
        for path in (*(out / name for name in (*TRAFFIC, *OUTPUTS)), *out.glob("outcomes*.duckdb")):
            path.unlink(missing_ok=True)
    state_folder(out)
    (out / MARK).touch()
