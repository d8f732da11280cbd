"""Measures what reports take of a snapshot with 10,000 groups, in CPU time beyond the start of Python.

`make bench-insights` builds two snapshots, of 100 task types with 100 models each and of one task type with all, and
prints milliseconds, each the median of five answers in processes of their own. A minute.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from aftercall.records import Digest
from aftercall.times import DAY_US, HOUR_US, to_datetime, to_us
from benchmarks.coverage import apply_calls
from connectors.snapshot.store import SnapshotStore
from models.rates import RateCells

GROUPS: Final = 10_000
HOURS: Final = 10 * 24
CALLS: Final = 2_000_000
RUNS: Final = 5
WANTED_MS: Final = 150
START: Final = to_us(datetime(2026, 3, 2, tzinfo=UTC))
ANSWERS: Final = {
    "text": "of a task, ms",
    "json": "as json, ms",
    "all": "of all tasks, ms",
    "digest": "digest, ms",
    "status": "status, ms",
    "alerts": "alerts, ms",
}
"""Name and title; the first three are `insights`."""
_MEASURED: Final = """
import io, sys, time
from pathlib import Path
from flows.reports import alerts, digest, insights, insights_view, overview, overview_view, status, terminal
file, what = Path(sys.argv[1]), sys.argv[2]
console = terminal.SafeConsole(file=io.StringIO(), width=100)
import duckdb; duckdb.connect().execute("SELECT 1")
open_alerts = lambda file: alerts.read_alerts(file, only_open=True)
began = time.process_time()
if what == "all":
    overview_view.show_overview(overview.overview(file), console)
elif what == "text":
    insights_view.render(insights.insights(file, "task-0"), console)
elif what == "json":
    insights.insights(file, "task-0").to_json()
else:
    {"digest": digest.read_digest, "status": status.read_status, "alerts": open_alerts}[what](file)
print(1000 * (time.process_time() - began))
"""


def snapshot(folder: Path, tasks: int) -> Path:
    """A snapshot of `GROUPS` groups in so many task types; a busy tenth of them has most of the calls."""
    rng = np.random.default_rng(7)
    names = [(f"task-{n % tasks}", f"model-{n // tasks}", "default") for n in range(GROUPS)]
    code = (GROUPS * rng.random(CALLS) ** 2).astype(np.int64)
    at = START + np.sort(rng.integers(0, HOURS * HOUR_US, CALLS))
    now = START + HOURS * HOUR_US
    slow = (HOUR_US * rng.exponential(2.0, CALLS)).astype(np.int64)
    cells = RateCells()
    apply_calls(cells, names, code, at, rng.random(CALLS) < 0.9, np.where(at + slow < now, slow, -1))
    cells.advance(now, now - 1)
    store = SnapshotStore(folder)
    store.append_digests([_digest()])
    store.commit(1)
    store.publish({"watermark": now}, *cells.tables(now, live=True))
    store.close()
    return folder / "outcomes.duckdb"


def _digest() -> Digest:
    """Of the week before the running one."""
    week, ended = "2026-W10", to_datetime(START + 7 * DAY_US)
    return Digest(event_id="0" * 32, week=week, issued_at=ended, groups=GROUPS, false_discovery_rate=0.1, entries=[])


def milliseconds(file: Path, what: str) -> float:
    """The median of several answers of one of `ANSWERS`."""
    command: list[Any] = [sys.executable, "-c", _MEASURED, file, what]
    return statistics.median(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(RUNS)
    )


def main() -> None:
    """Build the snapshots and print the table."""
    table = Table("10,000 groups in", "models of the task", *ANSWERS.values())
    for tasks in (100, 1):
        with tempfile.TemporaryDirectory() as folder:
            file = snapshot(Path(folder), tasks)
            found = [f"{milliseconds(file, what):,.0f}" for what in ANSWERS]
        table.add_row(f"{tasks:,} task types", f"{GROUPS // tasks:,}", *found)
    console = Console()
    console.print(table)
    console.print(f"Wanted: at most {WANTED_MS} ms, but for json of 10,000 models, which has them all.")


if __name__ == "__main__":
    main()
