"""Measures the SDK: `make bench-sdk`.

    python -m benchmarks.sdk [--size ci|full] [--only SECTION ...] [--write]

Prints the figures; with `--write`, and all sections, it writes benchmarks/results/sdk.json. About four minutes, with
`--size full` five. Needs Java, as `make kafka` does, and once a package index for the peers.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from benchmarks.kafka_broker import Broker
from benchmarks.report import write
from benchmarks.sdk import limits
from benchmarks.sdk.outage import RATE, TOPICS, outage
from benchmarks.sdk.peers import PACKAGES, peers_python

ROOT: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = Path(__file__).with_name("response_path.py")
AWAY: Final = "127.0.0.1:9"
STATES: Final = ("up", "slow", "away")
PEERS: Final = ("aftercall", "otel", "langfuse")
PEER_TURNS: Final = 5


class Size(NamedTuple):
    """How much is measured."""

    rounds: int
    calls: int
    paced_s: float
    frozen_s: float
    dead_s: float
    spooled: int
    emitted: int


SIZES: Final = {
    "small": Size(2, 1000, 1.0, 5.0, 3.0, 20_000, 30_000),
    "ci": Size(5, 5000, 5.0, 60.0, 10.0, 100_000, 300_000),
    "full": Size(5, 5000, 15.0, 60.0, 20.0, 200_000, 1_000_000),
}


class Bench:
    """One run, in a temporary folder."""

    def __init__(self, size: Size, folder: Path) -> None:
        self.size, self.folder = size, folder

    def path(
        self, kind: str, destination: str, python: Path | str = sys.executable, paced_s: float | None = None
    ) -> dict[str, Any]:
        """What response_path.py prints; `paced_s` as the size says, unless given."""
        spool = Path(tempfile.mkdtemp(dir=self.folder))
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "sdk"), "AFTERCALL_SPOOL": str(spool)}
        numbers = [str(self.size.rounds), str(self.size.calls), str(self.size.paced_s if paced_s is None else paced_s)]
        command = [str(python), str(PROGRAM), kind, destination, *numbers]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=600)
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    def paths(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The response path while the broker is up, slow and away."""
        details: dict[str, Any] = {}
        with broker() as one:
            details["up"] = self.path("aftercall", one.bootstrap)
            details["observed_200kB"] = self.path("observed", one.bootstrap)
            details["threads_64"] = self.path("threads", one.bootstrap)
            details["coroutines_1000"] = self.path("coroutines", one.bootstrap)
            with slowed(one):
                details["slow"] = self.path("aftercall", one.bootstrap)
        details["away"] = self.path("aftercall", AWAY)
        figures: dict[str, Any] = {}
        for state in STATES:
            suffix = "" if state == "up" else f"_{state}"
            for quantile in ("p50", "p99"):
                figures[f"overhead_us_{quantile}{suffix}"] = _beyond(details[state], "tight", quantile)
                figures[f"paced_us_{quantile}{suffix}"] = _beyond(details[state], "paced", quantile)
        return figures, details

    def peers(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The same beside OpenTelemetry and Langfuse, ours with files: no client of Kafka is there.

        By turns, and the median of the turns' ratios: how cold caches are changes from one minute to the next.
        """
        python = peers_python(ROOT / ".venv" / "peers")
        files, paced_s = str(self.folder / "files"), self.size.paced_s / PEER_TURNS
        turns = [{kind: self.path(kind, files, python, paced_s) for kind in PEERS} for _ in range(PEER_TURNS)]
        took = {kind: [_beyond(turn[kind], "paced", "p50") for turn in turns] for kind in PEERS}

        def over(peer: str) -> float:
            return round(median(ours / theirs for ours, theirs in zip(took["aftercall"], took[peer], strict=True)), 3)

        figures = {"overhead_over_otel_span": over("otel"), "overhead_over_langfuse": over("langfuse")}
        return figures, {"turns": turns, "paced_us_p50": took, "packages": PACKAGES}

    def limits(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Import, spool, exact counts, memory."""
        exact = limits.dropped_exactly(self.folder / "exact", self.size.spooled)
        used = limits.memory(self.folder / "away", self.size.emitted)
        return {
            "import_ms": round(limits.import_ms(), 1),
            "spool_events_per_s": round(limits.spool_events_per_s(self.folder / "spool", self.size.spooled)),
            "dropped_counted_exactly": exact["exact"],
            "queue_bytes_max": used["memory_bytes"],
            "rss_mb": round(used["rss_mb"]),
        }, {"exact": exact, "memory": used}

    def outage(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """A broker that is frozen, then killed and started again."""
        with broker() as one:
            found = outage(one, self.folder, self.size.frozen_s, self.size.dead_s)
        figures = {"events_lost_broker_outage": found["lost"], "events_doubled_broker_outage": found["doubled"]}
        return figures, found


SECTIONS: Final = ("limits", "paths", "peers", "outage")


@contextmanager
def broker() -> Iterator[Broker]:
    """A real one, with the topics of producers."""
    with Broker(brief=True) as one:
        for topic in TOPICS:
            one.topic(topic, 4)
        yield one


@contextmanager
def slowed(one: Broker) -> Iterator[None]:
    """It runs a fifth of the time only."""
    ended = threading.Event()
    pid = one.pid
    assert pid is not None

    def stop_and_go() -> None:
        while not ended.is_set():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.4)
            os.kill(pid, signal.SIGCONT)
            ended.wait(0.1)

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beyond(found: dict[str, Any], how: str, quantile: str) -> float:
    """Of the wrapped function beyond the bare one, in microseconds."""
    return float(round(found[how][quantile] - found[f"bare_{how}"][quantile], 1))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sdk", description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=tuple(SIZES), default="ci")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args(arguments)
    size = SIZES[asked.size]
    figures: dict[str, Any] = {}
    details: dict[str, Any] = {}
    for section in asked.only:
        with tempfile.TemporaryDirectory() as folder:
            found, details[section] = getattr(Bench(size, Path(folder)), section)()
        figures.update(found)
        for name, value in found.items():
            print(f"{name:34} {value}", flush=True)
    if asked.write and set(asked.only) == set(SECTIONS):
        print(f"written to {write('sdk', figures, seed=0, sizes={**size._asdict(), 'rate': RATE}, details=details)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
