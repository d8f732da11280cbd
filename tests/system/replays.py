"""Two files of sound calls and outcomes, and the command that replays them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from harness.waiting import until
from system.commands import AFTERCALL
from system.runs import environment

CALLS = 40
REPLAY = ("replay", "--calls", "calls.jsonl", "--outcomes", "outcomes.jsonl", "--out", "out")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*AFTERCALL, *arguments],
        env=environment(), cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(path: Path) -> None:
    until(path.exists, lambda: sorted(path.parent.parent.rglob("*")), every_s=0.01)
