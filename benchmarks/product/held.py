"""Measures with many calls held: throughput, what an epoch writes and costs, and how long a resume takes.

One service goes through all numbers of held calls. Calls without outcomes are produced to its topics and read, with a
horizon of 30 days, so none closes. Then it is stopped, a burst of usual traffic is produced, and it resumes.
"""

from __future__ import annotations

import time
from typing import Any, Final

from benchmarks.product.processes import Build
from benchmarks.product.runs import Bench
from benchmarks.product.service import Service, Topics, check_counts
from benchmarks.product.sizes import EPOCH_S, GROUPS, RATE, Size
from benchmarks.product.steady import Window, measure, records_from_now
from benchmarks.product.traffic import LONGEST_DELAY_S, SEED, Shape, calls_for, silent_calls, traffic

_NO_EPOCHS: Final = "1h"
_QUIET: Final = '[snapshot]\nevery = "1h"\n'
"""No publication: it copies all rows, and would hide what an epoch writes."""


def table(bench: Bench, build: Build, size: Size) -> dict[str, Any]:
    """Rows by held calls, then what epochs write and cost with the most calls held.

    - `resume_s`: seconds from the start of the process until a batch of waiting records has been read, without those of
      a start without state, over the same topics.
    - `per_cpu_second`: records of the burst per CPU second, from the moment the state is loaded until an epoch has
      ended after the last record. The end of the process is not counted, as it publishes a snapshot of all calls.
    """
    topics = Topics(bench.broker, "held")
    service = Service(build, topics, bench.new_folder("held"))
    begin_us = _first_call_us(size)
    rows: list[dict[str, Any]] = []
    held = 0
    for number, target in enumerate(size.held):
        shape = Shape(target - held, 1, GROUPS, RATE, begin_us, SEED + 2 * number)
        preload = topics.fill(silent_calls(shape))
        begin_us += round(preload / RATE * 1e6)
        loading = _read(service, topics, preload)
        if not rows:
            first_s = loading["first_record_s"]
        burst = traffic(Shape(calls_for(size.burst, 1), 1, GROUPS, RATE, begin_us, SEED + 2 * number + 1))
        records = topics.fill([burst])
        begin_us += round(records / RATE * 1e6)
        read = _read(service, topics, records)
        rows.append(
            {
                "held": target,
                "records": records,
                "per_cpu_second": records / read["cpu_s"],
                "resume_s": read["first_record_s"] - first_s,
                "load_cpu_s": loading["cpu_s"],
                "preloaded": preload,
            }
        )
        held = target + int((burst.kinds == 0).sum())
    return {"rows": rows, "start_s": first_s, "state": _state(service, topics, size)}


def figures(held: dict[str, Any]) -> dict[str, float]:
    """The figures on state, at the greatest number of held calls."""
    state = held["state"]
    return {
        "state_mb_per_epoch_5m": state["state_mb_per_epoch"],
        "epoch_core_share_5m": state["core_share"],
        "resume_s_5m": held["rows"][-1]["resume_s"],
    }


def _state(service: Service, topics: Topics, size: Size) -> dict[str, Any]:
    """What epochs write and cost at a steady rate: with the default epoch, against epochs that never end.

    `state_mb_per_epoch` is what steps and sinks have written as state: manifests, segments, compaction. `mb_per_epoch`
    is all that the process has sent to storage (`write_bytes`) without what the snapshot's live database grew by: it
    has what SQLite and DuckDB write twice, in their logs and their files, and all rows of the snapshot. `core_share` is
    the difference in CPU between the two windows: it has the engine's part too, which no function of ours holds.
    """
    without = _window(service, topics, _NO_EPOCHS, size.bare_s, size.lead_s, SEED + 101)
    with_epochs = _window(service, topics, f"{EPOCH_S:g}s", size.state_s, size.lead_s, SEED + 100)
    windows = {"epochs": with_epochs, "none": without}
    ended = max(len(with_epochs.epochs), 1)
    return {
        "mb_per_epoch": (with_epochs.written_mb - with_epochs.rows_mb) / ended,
        "state_mb_per_epoch": with_epochs.state_mb / ended,
        "core_share": with_epochs.cores - without.cores,
        "worst_epoch_s": max(with_epochs.epochs, default=float("nan")) - EPOCH_S,
        "windows": {name: window.plain() for name, window in windows.items()},
    }


def _window(
    service: Service, topics: Topics, epoch: str, spans_s: tuple[float, float], lead_s: float, seed: int
) -> Window:
    """Resume, catch up, and measure at a steady rate."""
    seconds, warm_s = spans_s
    running = service.start(settings=f'{_QUIET}[recovery]\nepoch = "{epoch}"\n')
    try:
        service.wait_until_loaded(running)
        records = records_from_now(seconds + warm_s, lead_s, seed)
        return measure(service, topics, running, records, seconds)
    finally:
        running.kill()


def _read(service: Service, topics: Topics, records: int) -> dict[str, float]:
    """Resume, read what waits, stop; CPU seconds from the moment the state is loaded until all is read and stored."""
    running = service.start(settings=_QUIET)
    try:
        first_record_s = service.wait_for_the_first_record(running)
        loaded_s = running.cpu_s()
        service.wait_until_read(running, records)
        service.wait_for_an_epoch(running)
        read_s = running.cpu_s()
        running.stop()
    finally:
        running.kill()
    check_counts(service.counts(), topics.records)
    return {"first_record_s": first_record_s, "cpu_s": read_s - loaded_s}


def _first_call_us(size: Size) -> int:
    """When the first call is made so that the last burst ends before now, its outcomes included."""
    records = size.held[-1] + size.burst * len(size.held)
    return time.time_ns() // 1000 - round((records / RATE + 2 * LONGEST_DELAY_S) * 1e6)
