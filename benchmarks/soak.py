"""Soaks `aftercall run` at a steady rate: `make bench-soak HOURS=1` (or `MINUTES=2`).

The broker is a real one. Calls close after 11 minutes and leave the snapshot 10 minutes later, so state has its steady
size after a third of an hour: anything that still grows then grows for ever. At the end every record must be accounted
for. Samples are taken from outside the process and written at once to `samples.jsonl` in the folder that is printed.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import duckdb
from rich.console import Console

from benchmarks import report, soak_report
from benchmarks.kafka_broker import Broker
from benchmarks.soak_samples import Pipeline, Sample, VerdictWatch, quantile
from benchmarks.soak_traffic import SEED

RATE: Final = 1000.0
PORT: Final = 19464
_EVERY_S: Final = 10.0
_PARTITIONS: Final = 12
_TOPICS: Final = ("calls", "outcomes", "verdicts", "recommendations", "trust", "alerts", "dead-letters")
_PACKAGES: Final = (*report.PACKAGES, "duckdb", "confluent-kafka")
_SETTINGS: Final = """
[join]
horizon = "10m"
allowed_lateness = "1m"
orphan_wait = "1m"

[retention]
calls = "10m"
statements = "10m"
hourly = "30m"

[drift]
warmup = "10m"

[routing]
every = "5m"
valid_for = "30m"
"""


def main() -> None:
    """Run the command that the module describes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--minutes", type=float, help="instead of hours")
    parser.add_argument("--rate", type=float, default=RATE, help="records per second, of all kinds together")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    seconds = given.hours * 3600 if given.minutes is None else given.minutes * 60
    folder = Path(tempfile.mkdtemp(prefix="aftercall-soak-"))
    console = Console(width=120)
    console.print(f"{seconds / 60:g} minutes at {given.rate:g} records/s; samples in {folder}/samples.jsonl")
    with Broker() as broker:
        for topic in _TOPICS:
            broker.topic(f"agent.{topic}", _PARTITIONS)
        samples, sent, kept = soak(broker.bootstrap, folder, seconds, given.rate, given.seed)
    hours, events = seconds / 3600, sum(sent["confirmed"].values())
    soak_report.show(samples, hours, console)
    figures = soak_report.figures(samples, hours, events)
    console.print_json(json.dumps(figures, allow_nan=True))
    if given.minutes is None:
        plain = {name: value for name, value in figures.items() if math.isfinite(value)}
        details = {"sent": sent, "pipeline": kept, "settings": _SETTINGS, "every_5_minutes": _thinned(samples)}
        sizes = {"records_per_s": given.rate, "partitions": _PARTITIONS, "sample_every_s": _EVERY_S}
        path = report.write("soak", plain, seed=given.seed, sizes=sizes, details=details)
        console.print(f"written to {path}")


def soak(
    brokers: str, folder: Path, seconds: float, rate: float, seed: int
) -> tuple[list[Sample], dict[str, Any], dict[str, Any]]:
    """Run the pipeline and the producers; returns samples, what was sent, and the last snapshot's row `pipeline`."""
    out, config = folder / "out", folder / "aftercall.toml"
    config.write_text(f'{_SETTINGS}\n[kafka]\nbrokers = "{brokers}"\n\n[service]\nport = {PORT}\n')
    command = [sys.executable, "-m", "aftercall", "run", "--config", str(config), "--out", str(out)]
    with (folder / "run.log").open("wb") as log:
        running = subprocess.Popen(command, stderr=log, stdout=log)
    producers: subprocess.Popen[str] | None = None
    watch = VerdictWatch(brokers)
    try:
        pipeline = Pipeline(running.pid, PORT, out)
        _until(lambda: _records(pipeline) >= 0, running, folder, 60)
        producers = subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.soak_traffic", "--brokers", brokers),
                *("--seconds", str(seconds), "--rate", str(rate), "--seed", str(seed)),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        samples = _sample(pipeline, watch, running, producers, folder)
        sent = json.loads(producers.communicate()[0])
        total = sum(sent["confirmed"].values())
        _until(lambda: _records(pipeline) >= total, running, folder, 120)
        running.send_signal(signal.SIGTERM)
        code = running.wait(120)
        assert code == 0, f"aftercall run ended with exit code {code}; see {folder / 'run.log'}"
    finally:
        watch.close()
        for process in (producers, running):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
    return samples, sent, _accounted(out / "outcomes.duckdb", total)


def _sample(
    pipeline: Pipeline, watch: VerdictWatch, running: subprocess.Popen[bytes], producers: subprocess.Popen[str],
    folder: Path,
) -> list[Sample]:  # fmt: skip
    samples: list[Sample] = []
    started, cpu_before, due = time.monotonic(), math.nan, _EVERY_S
    with (folder / "samples.jsonl").open("w") as file:
        while producers.poll() is None:
            time.sleep(max(0.0, min(0.5, due - (time.monotonic() - started))))
            now = time.monotonic() - started
            if now < due:
                continue
            assert running.poll() is None, f"aftercall run ended; see {folder / 'run.log'}"
            due += _EVERY_S
            sample = pipeline.sample() | {"hour": now / 3600}
            sample["cores"], cpu_before = (sample["cpu_s"] - cpu_before) / _EVERY_S, sample["cpu_s"]
            latencies = watch.latencies()
            sample |= {"verdicts_sampled": len(latencies), "latency_max_s": max(latencies, default=math.nan)}
            sample |= {"latency_p50_s": quantile(latencies, 0.5), "latency_p99_s": quantile(latencies, 0.99)}
            samples.append(sample)
            file.write(json.dumps({name: round(value, 4) for name, value in sample.items()}) + "\n")
            file.flush()
    return samples


def _records(pipeline: Pipeline) -> float:
    with suppress(urllib.error.URLError, OSError):
        return pipeline.metrics()["aftercall_records_total"]
    return -1.0


def _until(done: Any, running: subprocess.Popen[bytes], folder: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert running.poll() is None, f"aftercall run ended; see {folder / 'run.log'}"
        assert time.monotonic() < deadline, f"must be done within {seconds:g} s; it is not; see {folder / 'run.log'}"
        time.sleep(0.2)


def _accounted(snapshot: Path, sent: int) -> dict[str, Any]:
    """The row of `pipeline`; its sums must hold, and it must count all records that the broker confirmed."""
    with duckdb.connect(str(snapshot), read_only=True) as connection:
        columns = connection.execute("SELECT * EXCLUDE (positions) FROM pipeline")
        names = [column[0] for column in columns.description or ()]
        kept = dict(zip(names, columns.fetchall()[0], strict=True))
    became = ("calls", "completed", "outcomes", "marks", "duplicates", "waiting", "dead_letters")
    read = sum(kept[name] for name in became)
    judged = kept["pending"] + kept["successes"] + kept["failures"] + kept["expired"]
    assert kept["records"] == sent == read, f"sent {sent}, read {kept}"
    assert kept["calls"] + kept["attempts"] == judged, kept
    return {name: value if isinstance(value, int) else str(value) for name, value in kept.items()}


def _thinned(samples: list[Sample]) -> list[Sample]:
    every = round(300 / _EVERY_S)
    return [{name: round(value, 3) for name, value in s.items() if math.isfinite(value)} for s in samples[::every]]


if __name__ == "__main__":
    main()
