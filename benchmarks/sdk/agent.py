"""A program that is an agent at a steady rate, until a line on its standard input: for the outage.

    python agent.py BROKERS RATE

At the end it prints one JSON object: how many calls it made by its own count, the client's stats, and what it took.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from typing import Any

import aftercall


def main(brokers: str, rate: float) -> dict[str, Any]:
    """Make calls until a line comes, then send what is left."""
    client = aftercall.Client(kafka=brokers)
    answer = client.track("support", model="m", config="v7")(lambda: 1)
    ended = threading.Event()

    def wait_for_the_line() -> None:
        sys.stdin.readline()
        ended.set()

    threading.Thread(target=wait_for_the_line, daemon=True).start()
    made = most_bytes = most_spooled = 0
    took: list[int] = []
    due = time.monotonic()
    while not ended.is_set():
        began = time.perf_counter_ns()
        answer()
        took.append(time.perf_counter_ns() - began)
        made += 1
        if made % 50 == 0:
            stats = client.stats()
            most_bytes, most_spooled = max(most_bytes, stats.memory_bytes), max(most_spooled, stats.in_spool)
        due = max(due + 1 / rate, time.monotonic() - 1)
        time.sleep(max(0.0, due - time.monotonic()))
    sent = client.flush(300)
    stats = client.stats()
    client.close(10)
    took.sort()
    return {
        "made": made,
        "flushed": sent,
        "stats": stats._asdict(),
        "balanced": stats.balanced,
        "most_memory_bytes": most_bytes,
        "most_in_spool": most_spooled,
        "p99_us": took[int(len(took) * 0.99)] / 1e3,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], float(sys.argv[2]))))
