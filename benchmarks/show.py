"""Measures what `aftercall show` takes of a snapshot with a million calls, in CPU time beyond the start of Python.

`make bench-show` builds one, of ten days with 100,000 calls each, each with a statement, and keeps texts of 2 kB of
the calls of one day. It prints milliseconds, each the median of seven answers in processes of their own. A minute.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from aftercall.times import DAY_US, to_us
from connectors.snapshot.store import SnapshotStore
from connectors.texts.call_text import CallText
from connectors.texts.store import TextSettings, TextStore

DAYS: Final = 10
OF_A_DAY: Final = 100_000
TEXT_BYTES: Final = 1_000
RUNS: Final = 7
WANTED_MS: Final = 50
START: Final = to_us(datetime(2026, 3, 2, tzinfo=UTC))
_MEASURED: Final = """
import sys, time
from contextlib import suppress
from pathlib import Path
from flows.reports.show import story_of
from flows.reports.snapshot_reader import InsightError
import duckdb; duckdb.connect().execute("SELECT 1")
began = time.process_time()
with suppress(InsightError):
    story_of(Path(sys.argv[1]), sys.argv[2])
print(1000 * (time.process_time() - began))
"""


def snapshot(folder: Path) -> list[str]:
    """Publish a snapshot; returns an id of each day."""
    random = Random(7)
    store, texts, ids = SnapshotStore(folder), TextStore(folder, TextSettings()), []
    for day in range(DAYS):
        names = [str(uuid.UUID(int=random.getrandbits(128), version=4)) for _ in range(OF_A_DAY)]
        calls = [(name, START + day * DAY_US + i * DAY_US // OF_A_DAY) for i, name in enumerate(names)]
        store.append_calls([(*call, "task", "model", "v1", *_REST) for call in calls])
        store.append_statements([(*call, f"of-{name}", *_SAID) for name, call in zip(names, calls, strict=True)])
        if day == DAYS // 2:
            texts.add([CallText(*call, _text(random), _text(random), None) for call in calls])
        store.commit(day + 1)
        texts.commit(day + 1, calls[-1][1])
        ids.append(random.choice(names))
    texts.finish(DAYS)
    store.publish({"watermark": START + DAYS * DAY_US}, {"calls": []}, {"calls": []})
    store.close()
    return ids


def milliseconds(folder: Path, call_id: str) -> float:
    """The median of several answers."""
    command: list[Any] = [sys.executable, "-c", _MEASURED, folder / "outcomes.duckdb", call_id]
    return statistics.median(
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(RUNS)
    )


def main() -> None:
    """Build the snapshot and print the table."""
    table = Table("of a million calls", "ms")
    with tempfile.TemporaryDirectory() as folder:
        ids = snapshot(Path(folder))
        asked = {
            "one of the first day": ids[0],
            "one of the last day": ids[-1],
            "one with texts": ids[DAYS // 2],
            "none": str(uuid.UUID(int=5 << 124)),
        }
        for name, call_id in asked.items():
            table.add_row(name, f"{milliseconds(Path(folder), call_id):,.0f}")
    console = Console()
    console.print(table)
    console.print(f"Wanted: at most {WANTED_MS} ms. 13 of them are the start of a database in memory.")


def _text(random: Random) -> str:
    return " ".join(random.choices(_WORDS, k=TEXT_BYTES // 7))


_WORDS: Final = [f"{Random(n).getrandbits(24):06x}" for n in range(4_000)]
_REST: Final = (None, None, 800.0, 0.004, 900, None, "{}")
_SAID: Final = (1, "user", None, START, "assert", True, None, None, None, True)

if __name__ == "__main__":
    main()
