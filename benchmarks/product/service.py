"""Fills topics, runs `aftercall run` over them, and reads its metrics from outside."""

from __future__ import annotations

import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import duckdb
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.kafka_broker import LOSES_NONE, Broker
from benchmarks.kill_process import free_ports
from benchmarks.product.processes import HANG_S, BenchmarkError, Build, Running
from benchmarks.product.traffic import CALL, Records

PARTITIONS: Final = 12
"""As `aftercall topics create` makes them."""
OUTPUTS: Final = ("verdicts", "recommendations", "trust", "alerts", "dead-letters")
RECORDS: Final = "aftercall_records_total"
RECOVERED: Final = "aftercall_recovery_seconds"
EPOCHS: Final = "aftercall_epoch_seconds_count"
_POLL_S: Final = 0.5
_POLL_START_S: Final = 0.02
_COUNTED: Final = ("records", "calls", "outcomes", "duplicates", "successes", "failures")


class Topics:
    """The six topics of one pipeline, `NAME.calls` and so on; the broker stamps records as it appends them."""

    def __init__(self, broker: Broker, name: str) -> None:
        """Create them."""
        self.name, self.records = name, 0
        self.broker = broker
        for topic in ("calls", "outcomes", *OUTPUTS):
            broker.topic(f"{name}.{topic}", PARTITIONS, {"message.timestamp.type": "LogAppendTime"})
        settings = {"linger.ms": 20, "compression.type": "lz4", "queue.buffering.max.messages": 1_000_000}
        self._producer = Producer(broker.client | LOSES_NONE | {"log_level": 2} | settings)

    def send(self, records: Records) -> None:
        """Hand records to the client as fast as it takes them."""
        topics = (f"{self.name}.calls", f"{self.name}.outcomes")
        for kind, key, value in zip(records.kinds.tolist(), records.keys, records.values, strict=True):
            while True:
                try:
                    self._producer.produce(topics[kind != CALL], value, key)
                    break
                except BufferError:
                    self._producer.poll(0.1)
        self._producer.poll(0)
        self.records += len(records)

    def flush(self) -> None:
        """Wait until the broker has everything."""
        if self._producer.flush(HANG_S):
            raise BenchmarkError(f"the broker must take all records of {self.name}; it did not (see its log)")

    def fill(self, parts: Iterable[Records]) -> int:
        """Send all parts, and wait until the broker has them; returns their number."""
        before = self.records
        for records in parts:
            self.send(records)
        self.flush()
        return self.records - before


class Service:
    """One `aftercall run`: an output folder, a configuration, and the topics it reads."""

    def __init__(self, build: Build, topics: Topics, folder: Path, *, processes: int = 1) -> None:
        """Nothing runs yet.

        Args:
            build: whose `aftercall`.
            topics: what it reads and writes.
            folder: for output, configuration and logs; must not exist, or hold a run to resume.
            processes: how many share the work.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.out, self._folder = folder / "out", folder
        self._build, self._topics, self._processes = build, topics, processes
        self._runs = 0

    def start(self, wrapped: tuple[str, ...] = (), settings: str = "") -> Running:
        """Start it; it resumes at its last epoch.

        Args:
            wrapped: what runs the command instead of `-m aftercall`, as arguments of Python.
            settings: further lines of the configuration.
        """
        self._port = free_ports(self._processes)
        name, self._runs = self._topics.name, self._runs + 1
        config = self._folder / "aftercall.toml"
        topics = "".join(f'{t.replace("-", "_")} = "{name}.{t}"\n' for t in ("calls", "outcomes", *OUTPUTS))
        kafka = f'[kafka]\nbrokers = "{self._topics.broker.bootstrap}"\ngroup_id = "{self._folder.name}"\n'
        config.write_text(f"{settings}\n[service]\nport = {self._port}\n{kafka}\n[kafka.topics]\n{topics}")
        run = ("run", "--config", str(config), "--out", str(self.out), "--processes", str(self._processes))
        return Running(self._build, (*wrapped, *run), self._folder / f"run-{self._runs}.log")

    def metrics(self) -> defaultdict[str, float]:
        """All metrics, summed over series and processes; all 0 while none answers."""
        sums: defaultdict[str, float] = defaultdict(float)
        for port in range(self._port, self._port + self._processes):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                for family in text_string_to_metric_families(answer.read().decode()):
                    for sample in family.samples:
                        sums[sample.name] += sample.value
        return sums

    def wait_until_loaded(self, running: Running) -> float:
        """Wait until its state is loaded; returns the CPU seconds of the tree so far."""
        self._wait(running, lambda metrics: metrics.get(RECOVERED, 0) > 0, _POLL_START_S)
        return running.cpu_s()

    def wait_for_the_first_record(self, running: Running) -> float:
        """Seconds from its start until it has read a batch of records."""
        self._wait(running, lambda metrics: metrics.get(RECORDS, 0) > 0, _POLL_START_S)
        return time.monotonic() - running.began_s

    def wait_until_read(self, running: Running, records: int) -> None:
        """Wait until it has read that many records since it was started."""
        self._wait(running, lambda metrics: metrics.get(RECORDS, 0) >= records, _POLL_S)

    def wait_for_an_epoch(self, running: Running) -> None:
        """Wait until an epoch has ended: what was read before is processed, sent and stored."""
        ended = self.metrics()[EPOCHS]
        self._wait(running, lambda metrics: metrics[EPOCHS] > ended, _POLL_S)

    def counts(self) -> dict[str, int]:
        """What the newest snapshot counts."""
        return counted(self.out)

    def _wait(self, running: Running, reached: Any, every_s: float) -> None:
        deadline = time.monotonic() + HANG_S
        while not reached(self.metrics()):
            if running.ended():
                raise BenchmarkError(f"{self._folder.name}: it must run until it is stopped; it ended by itself")
            if time.monotonic() > deadline:
                raise BenchmarkError(f"{self._folder.name}: it must read all records within {HANG_S:g} s")
            time.sleep(every_s)


def counted(out: Path) -> dict[str, int]:
    """Counts of the newest snapshot in a folder: records, calls, outcomes, duplicates, successes, failures."""
    with duckdb.connect(str(out / "outcomes.duckdb"), read_only=True) as connection:
        row = connection.execute(f"SELECT {', '.join(_COUNTED)} FROM pipeline").fetchone()  # noqa: S608 - constants
    assert row is not None
    return dict(zip(_COUNTED, map(int, row), strict=True))


def check_counts(counts: Mapping[str, int], records: int) -> None:
    """Check that nothing is missing from a snapshot.

    Raises:
        BenchmarkError: the run counts other records than were sent.
    """
    if counts["records"] != records:
        raise BenchmarkError(f"a run must count the {records:,} records it was given; it counts {counts['records']:,}")
