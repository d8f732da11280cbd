"""Measures the spool, and whether what is dropped at its limit and at that of the queue is counted exactly."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from aftercall.emitter import Emitter
from aftercall.emitter.folder import Folder
from aftercall.transports.kafka import KafkaTransport
from aftercall.transports.transport import Message

_CALL: Final = {"occurred_at": "2026-03-01T12:00:00Z", "task_type": "support", "model": "m", "config": "v7"}
_IMPORT: Final = "import time; t = time.process_time(); {}; print(1e3 * (time.process_time() - t))"
_AWAY: Final = """
import json, resource, sys
from pathlib import Path
from benchmarks.sdk.limits import away
emitter = away(Path(sys.argv[1]), 256 << 20)
call = {call!r}
most = 0
for number in range({events}):
    emitter.emit("calls", str(number), lambda: {{"call_id": str(number), **call}})
    if number % 1000 == 0:
        most = max(most, emitter.stats().memory_bytes)
stats = emitter.stats()
print(json.dumps({{"memory_bytes": most, "balanced": stats.balanced,
                   "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}}))
import os; os._exit(0)
"""


def away(folder: Path, spool_bytes: int) -> Emitter:
    """An emitter whose broker refuses connections."""
    return Emitter(KafkaTransport("127.0.0.1:9"), spool=folder, spool_bytes=spool_bytes)


def spool_events_per_s(folder: Path, events: int) -> float:
    """Append, read and delete in batches of 500."""
    value = json.dumps({"type": "call", "call_id": "c" * 36, **_CALL, "latency_ms": 812.4, "tokens_in": 812}).encode()
    batch = [Message("calls", "c" * 36, value)] * 500
    spool = Folder(folder, "bench").make(256 << 20)
    began = time.perf_counter()
    for _ in range(events // 500):
        spool.append(batch)
    after = 0
    while rows := spool.read(after, 500, 4 << 20):
        after = rows[-1].number
        spool.delete([row.number for row in rows])
    took = time.perf_counter() - began
    spool.close()
    return events / took


def dropped_exactly(folder: Path, events: int) -> dict[str, Any]:
    """Emit far more than a spool of a MiB holds; what is counted as dropped, against what the file lacks."""
    emitter = away(folder, 1 << 20)
    for number in range(events):
        emitter.emit("calls", str(number), lambda number=number: {"call_id": str(number), **_CALL})  # type: ignore[misc]
        if number % 1000 == 0:
            time.sleep(0.05)
    while emitter.stats().in_memory:
        time.sleep(0.05)
    emitter.close(0.1)
    stats = emitter.stats()
    kept = sum(spool.count for spool in Folder(folder, KafkaTransport("127.0.0.1:9").destination).adopt())
    dropped = sum(stats.dropped.values())
    return {"emitted": events, "kept": kept, "dropped": dict(stats.dropped), "exact": kept + dropped == events}


def memory(folder: Path, events: int) -> dict[str, Any]:
    """Bytes and resident memory of a process that emits as fast as it can while the broker is away."""
    program = _AWAY.format(call=_CALL, events=events)
    done = subprocess.run([sys.executable, "-c", program, str(folder)], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def import_ms(runs: int = 9) -> float:
    """CPU of the import of the client, beyond Python's start; the median of some processes."""

    def once() -> float:
        command = [sys.executable, "-c", _IMPORT.format("from aftercall import Client")]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    return statistics.median(once() for _ in range(runs))
