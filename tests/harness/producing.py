"""Programs that emit, run as processes of their own: a prelude that all share, and what they left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from harness.waiting import HANG_S

PRELUDE: Final = """
import os, sys, time
from pathlib import Path
from aftercall.emitter import Emitter
from aftercall.transports.file import FileTransport
from aftercall.transports.kafka import KafkaTransport

folder = Path({folder!r})
transport = {transport}
emitter = Emitter(transport, spool=folder / "spool", **{options!r})

def emit(call_id, **how):
    event = {{"call_id": call_id, "occurred_at": "2026-03-01T12:00:00Z", "task_type": "t", "model": "m"}}
    emitter.emit("calls", call_id, lambda: event, **how)
"""
FILES: Final = "FileTransport(folder)"
AWAY: Final = 'KafkaTransport("127.0.0.1:9")'


def program(folder: Path, body: str, transport: str = FILES, **options: object) -> str:
    """The source of a program: `emit(call_id)`, `emitter` and `folder` are there for its body."""
    return PRELUDE.format(folder=str(folder), transport=transport, options=options) + body


def run(
    folder: Path, body: str, transport: str = FILES, python: str = sys.executable, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run one to its end, with all warnings shown."""
    command = [python, "-W", "always", "-c", program(folder, body, transport, **options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)


def arrived(folder: Path) -> Counter[str]:
    """How often each call is in the files of a `FileTransport`."""
    lines = [line for path in folder.glob("calls*.jsonl") for line in path.read_text().splitlines()]
    return Counter(json.loads(line)["call_id"] for line in lines)
