"""Causes every fault from outside, and judges what a consumer reads afterwards: `make bench-faults`.

    python -m benchmarks.faults [--only NAME ...] [--seed N] [--keep FOLDER] [--write]

Each fault has topics, a folder and a history of its own, on one real broker. The history is difficult (revisions,
retractions, repeats, contradictions, unreadable records); what must come of it is computed from the written records
alone. It is written and read to its end in any case, whatever the fault, and every row of the snapshot and of the
topics is compared. Exit code 1 if anything is not as it must be. `--write` renews benchmarks/results/faults.json, with
`--only` the faults that were caused.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import duckdb
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.faults import brokers, files, hosts, processes, records, services, topics
from benchmarks.faults.file_stage import FileStage
from benchmarks.faults.findings import COUNTS, Findings
from benchmarks.faults.stage import Stage
from benchmarks.kafka_broker import Broker
from benchmarks.kafka_jars import BrokerError
from benchmarks.kill_process import RunError

SEED: Final = 7
WIDTH: Final = 80
Fault = Callable[[Stage], None]
FileFault = Callable[[FileStage], None]
_OF_THE_SERVICE: Final[dict[str, Fault]] = {
    fault.__name__: fault
    for module in (processes, brokers, topics, hosts, services, records)
    for fault in module.FAULTS
}
_OF_FILES: Final[dict[str, FileFault]] = {fault.__name__: fault for fault in files.FAULTS}
FAULTS: Final = (*_OF_THE_SERVICE, *_OF_FILES)


_ABOUT: Final = """Each has topics, a folder and a fortnight of difficult
records of its own, on one real broker (replays: files). Whatever the fault, the records are read to their end; then
every row of `calls`, `statements`, `rates`, `dead_letters` and `pipeline`, and what a consumer reads on the topics, is
compared with what follows from the records alone. *Silent* are words that must be said (in the log, on standard error,
in `/readyz`, as a metric) and were not."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Cause faults, print what was found; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=FAULTS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--keep", type=Path, help="a folder for what the runs leave; by default it is removed")
    parser.add_argument("--write", action="store_true", help="renew benchmarks/results/faults.json")
    asked = parser.parse_args(arguments)
    console, found = Console(width=WIDTH), dict[str, Findings]()
    took_s: dict[str, float] = {}
    with ExitStack() as stack:
        folder = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aftercall-faults-")))
        try:
            broker = stack.enter_context(Broker(users={"ada": "the right word"}, brief=True))
            for name in asked.only:
                began_s = time.monotonic()
                found[name] = after(name, broker, folder / name, asked.seed)
                took_s[name] = round(time.monotonic() - began_s, 1)
                _say(console, name, found[name], took_s[name])
        except BrokerError as error:
            print(f"faults: {error}", file=sys.stderr)
            return 1
    totals = {count: sum(getattr(one, count) for one in found.values()) for count in COUNTS}
    console.print(_table(found, totals))
    if asked.write:
        path = renew(found, took_s, asked.seed)
        section = markdown(json.loads(path.read_text(encoding="utf-8")))
        print(f"wrote {path} and {report.renew_section('bench-faults', section)}")
    return 1 if sum(totals.values()) else 0


def renew(found: Mapping[str, Findings], took_s: Mapping[str, float], seed: int) -> Path:
    """Put faults in place of those that were recorded before; each says of which commit it is. Returns the file's path.

    A fault stands for itself: none is compared with another one.
    """
    path = report.RESULTS / "faults.json"
    before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["details"] if path.exists() else {}
    commit = report.commit()
    now = {
        name: {"what": _what(name), "seconds": took_s[name], "commit": commit, **asdict(one)}
        for name, one in found.items()
    }
    details = {name: row for name in FAULTS if (row := (before | now).get(name)) is not None}
    totals = {count: sum(row[count] for row in details.values()) for count in COUNTS}
    sizes: dict[str, Any] = {"faults": len(details)}
    return report.write("faults", {**sizes, **totals}, seed=seed, sizes=sizes, details=details)


def after(name: str, broker: Broker, folder: Path, seed: int) -> Findings:
    """Cause one fault, and judge; one that cannot be caused, or whose run fails, is a finding.

    Raises:
        BrokerError: the broker cannot be started again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if name in _OF_FILES:
        replays = FileStage(folder, seed)
        _OF_FILES[name](replays)
        return replays.judge()
    stage = Stage(broker, folder, f"{name}-{time.time_ns() // 1000}", seed)
    try:
        _OF_THE_SERVICE[name](stage)
        return stage.judge()
    except (RunError, duckdb.Error, OSError) as error:
        # The last two: it left no snapshot, or none that can be read.
        stage.findings.add("wrong", str(error))
        return stage.findings
    finally:
        stage.close()


def markdown(result: Mapping[str, Any]) -> str:
    """The section of docs/results.md, from the content of the results file."""
    sizes, figures = result["sizes"], result["figures"]
    return "\n".join([
        "## Faults caused from outside",
        "",
        f"`make bench-faults` on {result['date']}: {sizes['faults']} faults. {_ABOUT}",
        "",
        f"| fault | {' | '.join(COUNTS)} |",
        f"|---|{'---|' * len(COUNTS)}",
        *(
            f"| {one['what']} | {' | '.join(str(one[name]) for name in COUNTS)} |"
            for one in result["details"].values()
        ),
        f"| **all {sizes['faults']}** | {' | '.join(f'**{figures[name]}**' for name in COUNTS)} |",
    ])  # fmt: skip


def _what(name: str) -> str:
    return ((_OF_THE_SERVICE.get(name) or _OF_FILES[name]).__doc__ or name).strip().removesuffix(".")


def _say(console: Console, name: str, found: Findings, took_s: float) -> None:
    console.print(f"{name} ({took_s:.0f} s): {'as it must be' if not found.total else ''}", highlight=False)
    for note in found.notes:
        console.print(f"    {note}", markup=False, highlight=False)


def _table(found: dict[str, Findings], totals: dict[str, int]) -> Table:
    table = Table(box=None)
    table.add_column("fault")
    for count in COUNTS:
        table.add_column(count, justify="right")
    for name, one in found.items():
        table.add_row(_what(name), *(str(getattr(one, count)) for count in COUNTS))
    table.add_row(f"all {len(found)}", *(str(totals[count]) for count in COUNTS), style="bold")
    return table


if __name__ == "__main__":
    sys.exit(main())
