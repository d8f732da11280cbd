"""Records a golden with the code of this checkout.

    PYTHONPATH=.:sdk:tests python -m states.record files|kafka [--workers N] [--out FOLDER]

Exit code 1 where the code is not that of a commit, or the killed run does not hold what a golden must.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.kafka_broker import Broker
from states import files, live, stored
from states.golden import HERE, pack
from states.holds import holds, missing
from states.traffic import KILL_S, history
from system.runs import ROOT

CODE = ("sdk", "models", "connectors", "flows")
PACKAGES = ("bytewax", "duckdb", "numpy", "river")


def record(kind: str, folder: Path, workers: int = 1) -> dict[str, Any]:
    """Leave a killed run in a folder; gives what it holds and where it stood.

    Raises:
        AssertionError: it does not hold what a golden must.
    """
    if kind == "kafka":
        with Broker(cluster=live.CLUSTER) as broker:
            live.kill(broker, folder)
        command, of = f"run --config {live.CONFIG} --out {live.OUT}", len(history())
    else:
        files.write(folder)
        files.kill(folder, workers, published=True)
        command, of = " ".join(files.arguments(workers)), files.count(folder)
    found = holds(folder / files.OUT)
    assert not missing(found), f"it holds no {', '.join(missing(found))}"
    read = stored.records_read(folder / files.OUT)
    assert 0 < read < of, f"it has stored {read} of {of} records"
    stood = {"records_read": read, "of": of, "event_time_s": KILL_S, "epoch": stored.resume_epoch(folder / files.OUT)}
    return {"command": f"aftercall {command}", "workers": workers, "stood": stood, "holds": found}


def commit() -> str:
    """The newest commit that touched the code.

    Raises:
        AssertionError: the code differs from it.
    """
    changed = _git("status", "--porcelain", "--", *CODE)
    assert not changed, f"the code must be that of a commit; changed is {changed}"
    return _git("log", "-1", "--format=%h", "--", *CODE)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Record one; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m states.record", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=("files", "kafka"))
    parser.add_argument("--workers", type=int, default=1, help="of a replay")
    parser.add_argument("--out", type=Path, default=HERE, help="where the golden goes; by default beside the others")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="aftercall-golden-") as folder:
        try:
            code = commit()
            recorded = record(options.kind, Path(folder), options.workers)
            versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
            head = {"kind": options.kind, "commit": code, "recorded": f"{datetime.now(UTC):%Y-%m-%d}"}
            name = f"{options.kind}{f'-{options.workers}-workers' if options.workers > 1 else ''}-{code}"
            input_of = live.digest() if options.kind == "kafka" else files.digest(Path(folder))
            recorded = {**head, "versions": versions, "input": input_of, **recorded}
            packed = pack(Path(folder) / files.OUT, options.out, name, recorded)
        except AssertionError as wrong:
            sys.stderr.write(f"record: {wrong}\n")
            return 1
    sys.stdout.write(f"{packed}: {packed.stat().st_size} bytes, {recorded['stood']}, {recorded['holds']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
