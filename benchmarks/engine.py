"""Measures events per CPU second of several implementations, and memory per held call: `make bench-engine`.

Every variant runs in a separate process, pinned to one processor, three times, taking turns; the best run counts. The
CPU time of the whole process (all threads) is measured, from the first record to the end of the flow, without
generating or loading the records. Only ratios within one run can be compared.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from rich.console import Console
from rich.table import Table

from benchmarks import columnar, memory, per_item, reference, report
from benchmarks.in_memory import CountingSink
from benchmarks.product.base import COMMIT, base, present
from benchmarks.product.processes import BenchmarkError, Build, environment
from benchmarks.traffic import SEED, Traffic, several, traffic
from models.rates import RateCells

CALLS = 520_000
EVENTS = "events.jsonl"
STATEMENTS = (1, 2, 3, 5)
"""Per call, in traffic of their own."""
WAYS = ("reference", "columnar", "per_item", "per_item_tumbling", "per_item_pydantic")
ONCE = ("per_item_tumbling", "per_item_pydantic")
"""Variants that run only once. `per_item` has lean models and sliding windows; one variant has tumbling windows, the
other the pydantic models of `aftercall.events`."""
ROUNDS = 3
OTHER_BATCHES = (5_000, 20_000)
_EPOCH = timedelta(seconds=10)


def main() -> None:
    """Run everything, or with `--variant` one measurement, printed as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument("--events", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--batch", type=int, default=columnar.BATCH, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.variant is None:
        _compare()
        return
    _pin()
    print(json.dumps(VARIANTS[given.variant](given.events, given.batch)))


# --- one measurement, in a separate process ------------------------------------------------------------------------


def _columnar(events: Path, batch: int) -> dict[str, float]:
    records, cells = Traffic.read(events), RateCells()
    return _timed(columnar.flow(records, cells, batch), len(records.raws))


def _per_item(events: Path, _batch: int, *, sliding: bool = True) -> dict[str, float]:
    records = Traffic.read(events)
    return _timed(per_item.flow(records, CountingSink(), sliding=sliding), len(records.raws))


def _per_item_tumbling(events: Path, batch: int) -> dict[str, float]:
    return _per_item(events, batch, sliding=False)


def _per_item_pydantic(events: Path, _batch: int) -> dict[str, float]:
    records = Traffic.read(events)
    return _timed(
        per_item.flow(records, CountingSink(), sliding=True, decode=per_item.decode_pydantic), len(records.raws)
    )


def _reference(events: Path, _batch: int) -> dict[str, float]:
    records = Traffic.read(events)
    _settle()
    started = time.process_time()
    return _rate(reference.decode(records.raws), time.process_time() - started)


def _memory(_events: Path, _batch: int) -> dict[str, float]:
    return memory.bytes_per_held_call()


VARIANTS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "columnar": _columnar,
    "reference": _reference,
    "per_item": _per_item,
    "per_item_tumbling": _per_item_tumbling,
    "per_item_pydantic": _per_item_pydantic,
    "memory": _memory,
}


def _timed(flow: Dataflow, events: int) -> dict[str, float]:
    _settle()
    started = time.process_time()
    run_main(flow, epoch_interval=_EPOCH)
    return _rate(events, time.process_time() - started)


def _rate(events: int, cpu_s: float) -> dict[str, float]:
    return {"events": events, "cpu_s": round(cpu_s, 4), "events_per_cpu_second": events / cpu_s}


def _settle() -> None:
    """Set the garbage collector as a replay does; this makes all variants faster."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _pin() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


# --- all of them --------------------------------------------------------------------------------------------------


def _compare() -> None:
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="aftercall-bench-") as folder,
        console.status("generating traffic") as status,
    ):
        sizes = _generate(Path(folder))
        runs: dict[str, list[float]] = {name: [] for name in WAYS}
        for turn in range(ROUNDS):
            for name, rates in runs.items():
                if turn and name in ONCE:
                    continue
                status.update(f"round {turn + 1} of {ROUNDS}: {name}")
                rates.append(_measure(name, Path(folder))["events_per_cpu_second"])
        status.update("other batch sizes")
        batches = {size: _measure("columnar", Path(folder), size)["events_per_cpu_second"] for size in OTHER_BATCHES}
        status.update("several statements per call")
        several_ns, no_ratios = _several_ns(Path(folder))
        status.update(f"holding {memory.CALLS:,} calls")
        held = _measure("memory", Path(folder))
    best = {name: max(rates) for name, rates in runs.items()}
    figures = {
        "speedup_vs_per_item": round(best["columnar"] / best["per_item"], 2),
        "share_of_reference_decode": round(best["columnar"] / best["reference"], 4),
        "bytes_per_held_call": round(held["per_call"], 1),
        "events_per_cpu_second": round(best["columnar"]),
    }
    details = {
        "batch": columnar.BATCH,
        "events_per_cpu_second": {name: [round(rate) for rate in rates] for name, rates in runs.items()},
        "ns_an_event_by_statements_per_call": several_ns,
        "columnar_with_other_batches": {str(size): round(rate) for size, rate in batches.items()},
        "speedup_vs_per_item_tumbling": round(best["columnar"] / best["per_item_tumbling"], 2),
        "speedup_vs_per_item_pydantic": round(best["columnar"] / best["per_item_pydantic"], 2),
    }
    path = report.write("engine", figures, seed=SEED, sizes=sizes, details=details)
    console.print(_table(runs, best))
    console.print(_several_table(several_ns))
    if no_ratios:
        console.print(no_ratios)
    for name, value in figures.items():
        console.print(f"{name}: [bold]{value:,}[/bold]")
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def _generate(folder: Path) -> dict[str, Any]:
    sizes: dict[str, Any] = {"held_calls": memory.CALLS}
    records = traffic(CALLS)
    records.write(folder / EVENTS)
    for statements in STATEMENTS:
        several(CALLS // (2 * statements), statements).write(folder / _several(statements))
    return sizes | {
        "events": len(records.raws),
        "mean_bytes": round(sum(map(len, records.raws)) / len(records.raws), 1),
    }


def _several(statements: int) -> str:
    return f"several-{statements}.jsonl"


def _several_ns(folder: Path) -> tuple[dict[str, dict[str, int]], str]:
    """Nanoseconds an event, the least of some, by build and statements per call; and why the base lacks, if so."""
    builds, no_ratios = [present()], ""
    try:
        builds.append(base(folder / "base"))
    except BenchmarkError as error:
        no_ratios = f"no ratios: {error}"
    least: dict[str, dict[str, int]] = {build.name: {} for build in builds}
    for turn in range(ROUNDS):
        for statements in STATEMENTS:
            for build in builds[:: -1 if turn % 2 else 1]:
                rate = _measure("columnar", folder, events=_several(statements), build=build)["events_per_cpu_second"]
                known = least[build.name].get(str(statements), sys.maxsize)
                least[build.name][str(statements)] = min(known, round(1e9 / rate))
    return least, no_ratios


def _several_table(ns: dict[str, dict[str, int]]) -> Table:
    table = Table(title="nanoseconds an event, by statements per call")
    for column in ("", *map(str, STATEMENTS)):
        table.add_column(column, justify="right" if column else "left")
    for name, row in ns.items():
        table.add_row(name, *(f"{row[str(k)]:,}" for k in STATEMENTS))
    if COMMIT in ns:
        table.add_row("x base", *(f"{ns[COMMIT][str(k)] / ns['present'][str(k)]:.2f}" for k in STATEMENTS))
    return table


def _measure(
    name: str, folder: Path, batch: int = columnar.BATCH, events: str = EVENTS, build: Build | None = None
) -> dict[str, float]:
    build = build or present()
    given = ["--variant", name, "--events", str(folder / events), "--batch", str(batch)]
    command = [str(build.python), "-m", "benchmarks.engine", *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=build.root, env=environment(build))
    if done.returncode:
        raise SystemExit(f"benchmarks.engine: the variant '{name}' must run to its end; it ended with:\n{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def _table(runs: dict[str, list[float]], best: dict[str, float]) -> Table:
    table = Table(title="events per CPU second, one core")
    for column in ("way", *(f"run {i + 1}" for i in range(ROUNDS)), "best", "x per item", "of bare decode"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, rates in runs.items():
        ratios = (f"{best[name] / best['per_item']:.2f}", f"{best[name] / best['reference']:.1%}")
        runs_shown = [f"{rate:,.0f}" for rate in rates] + [""] * (ROUNDS - len(rates))
        table.add_row(name.replace("_", " "), *runs_shown, f"{best[name]:,.0f}", *ratios)
    return table


if __name__ == "__main__":
    main()
