"""Runs one command of the command line, as a user would type it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from harness.waiting import HANG_S
from system.forks import Fork
from system.runs import environment

AFTERCALL = (sys.executable, "-m", "aftercall")


def aftercall(cwd: Path, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `aftercall ARGUMENTS` in a folder, with environment variables; never raises for its exit code.

    In a process of its own which has loaded the pipeline already.
    """
    command = ("aftercall", *map(str, arguments))
    with TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        code = Fork(command, cwd=cwd, env=environment(**settings), out=out, err=err).wait()
        return subprocess.CompletedProcess(command, code, out.read_text("utf-8"), err.read_text("utf-8"))


def fresh_aftercall(cwd: Path, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """As `aftercall`, in a process that has loaded nothing."""
    return subprocess.run(
        [*AFTERCALL, *map(str, arguments)],
        env=environment(**settings),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )


def assert_one_sentence(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """The command ended with this code and printed why in one line that holds `parts`, and nothing else."""
    assert (done.returncode, done.stdout) == (code, ""), (done.returncode, done.stdout, done.stderr)
    assert re.fullmatch(r"aftercall: [^\n]+\n", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert "panicked" not in done.stderr
    for part in parts:
        assert part in done.stderr


def counts(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What `replay --json` printed, after a run that went well."""
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def call(number: int, **fields: Any) -> dict[str, Any]:
    """A sound call; its minute is its number."""
    return {
        "call_id": f"call-{number}",
        "occurred_at": minute(number),
        "task_type": "summarise",
        "model": f"m-{number % 2}",
        "latency_ms": 100 + number,
        "cost_usd": 0.001,
        **fields,
    }


def outcome(number: int, **fields: Any) -> dict[str, Any]:
    """A sound outcome of the call with that number, 30 minutes later."""
    return {
        "outcome_id": "o",
        "call_id": f"call-{number}",
        "occurred_at": minute(number + 30),
        "source": "human_review",
        "success": number % 3 > 0,
        **fields,
    }


def minute(number: float) -> str:
    """A time that many minutes into March 2025."""
    return f"{datetime(2025, 3, 1) + timedelta(minutes=number):%Y-%m-%dT%H:%M:%SZ}"  # noqa: DTZ001 - UTC, it ends in Z


def lines(records: Iterable[dict[str, Any]]) -> bytes:
    """Records as a `.jsonl` file holds them."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def table(out: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the snapshot in `out`."""
    with duckdb.connect(str((out / "outcomes.duckdb").resolve()), read_only=True) as snapshot:
        return snapshot.execute(query).fetchall()
