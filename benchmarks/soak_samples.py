"""Samples a running pipeline for the soak: metrics, process, folders, and latency of verdicts."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families

Sample = dict[str, float]
_MEANS: Final = {"epoch_s": "aftercall_epoch_seconds", "publication_s": "aftercall_snapshot_publication_seconds"}
_SUMS: Final = {
    "lag": "aftercall_consumer_lag_records",
    "watermark_delay_s": "aftercall_watermark_delay_seconds",
    "pending": "aftercall_pending_calls",
    "records": "aftercall_records_total",
    "snapshot_version": "aftercall_snapshot_version",
}
_MB: Final = 1e6


class Pipeline:
    """A running `aftercall run` of one process, seen from outside.

    Args:
        pid: process number.
        port: port of `/metrics`.
        out: output folder.
    """

    def __init__(self, pid: int, port: int, out: Path) -> None:
        self._pid, self._port, self._out = pid, port, out
        self._before: dict[str, float] = {}

    def metrics(self) -> dict[str, float]:
        """All metrics; the series of one name are summed."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        metrics: dict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                metrics[sample.name] += sample.value
        return metrics

    def sample(self) -> Sample:
        """Take one sample. Means are over the time since the sample before."""
        metrics = self.metrics()
        taken: Sample = {name: metrics[metric] for name, metric in _SUMS.items() if metric in metrics}
        for name, metric in _MEANS.items():
            spent, count = self._since(metrics, f"{metric}_sum"), self._since(metrics, f"{metric}_count")
            if count:
                taken[name] = spent / count
        taken["load"] = os.getloadavg()[0]
        taken["cpu_s"] = metrics["process_cpu_seconds_total"]
        taken["state_mb"] = metrics["aftercall_state_bytes"] / _MB
        memory = dict(line.split(":", 1) for line in Path(f"/proc/{self._pid}/status").read_text().splitlines())
        taken["rss_mb"] = int(memory["VmRSS"].split()[0]) * 1024 / _MB
        taken["anonymous_mb"] = int(memory["RssAnon"].split()[0]) * 1024 / _MB
        taken["files"] = sum(1 for _ in Path(f"/proc/{self._pid}/fd").iterdir())
        taken["out_mb"] = _size(self._out) / _MB
        taken["recovery_mb"] = _size(self._out / "state" / "recovery") / _MB
        with suppress(FileNotFoundError):  # being replaced
            taken["snapshot_mb"] = (self._out / "outcomes.duckdb").stat().st_size / _MB
        return taken

    def _since(self, metrics: dict[str, float], name: str) -> float:
        before, self._before[name] = self._before.get(name, 0.0), metrics[name]
        return metrics[name] - before


class VerdictWatch:
    """Reads one partition of the verdicts as they arrive: a sample of all, because keys are spread evenly."""

    def __init__(self, brokers: str, topic: str = "agent.verdicts", partition: int = 0) -> None:
        self._consumer = Consumer({"bootstrap.servers": brokers, "group.id": "soak", "enable.auto.commit": False})
        self._consumer.assign([TopicPartition(topic, partition, 0)])
        self._seen: set[str] = set()
        self._new: list[float] = []
        self._lock, self._stop = Lock(), Event()
        self._thread = Thread(target=self._run, name="verdicts", daemon=True)
        self._thread.start()

    def latencies(self) -> list[float]:
        """Seconds from outcome to verdict, of the verdicts since the last call of this method."""
        with self._lock:
            new, self._new = self._new, []
        return new

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(500, 0.2):
                value = message.value()
                if message.error() is None and value is not None:
                    self._record(json.loads(value), time.time())

    def _record(self, verdict: dict[str, Any], now: float) -> None:
        """Record the latency of a new verdict; those without an outcome (expired, failed calls) have none."""
        outcome, key = verdict["outcome_id"], f"{verdict['call_id']} {verdict['outcome_id']}"
        if outcome is None or verdict["source"] != "user_feedback" or key in self._seen:
            return
        self._seen.add(key)
        with self._lock:
            self._new.append(now - datetime.fromisoformat(verdict["decided_at"]).timestamp())


def quantile(values: list[float], share: float) -> float:
    """The quantile at `share`, in [0, 1]; nan for an empty list."""
    return float(np.quantile(values, share)) if values else float("nan")


def _size(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)  # noqa: PTH118 - thousands of files, every ten seconds
            with suppress(OSError):  # gone meanwhile
                total += os.lstat(path).st_size
    return total
