"""Measures one run of `aftercall replay` or `aftercall run`: the CPU seconds of its tree for a number of records.

Every run starts in a new folder with default settings: snapshot, recovery and all outputs are on. What a run without
records needs, from start to end, is measured once per build and command and taken off: it is paid once, and would make
short runs look slow.
"""

from __future__ import annotations

import json
import shutil
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.kafka_broker import Broker
from benchmarks.product import kinds
from benchmarks.product.processes import Build, Running
from benchmarks.product.service import Service, Topics, check_counts, counted
from benchmarks.product.traffic import Shape

_WRAPPED: Final = ("-m", "benchmarks.product.stages")


class Measured(NamedTuple):
    """One run: records, CPU seconds of the tree, those of a run without records, and counts of the snapshot."""

    records: int
    cpu_s: float
    start_s: float
    counts: dict[str, int]

    @property
    def per_cpu_second(self) -> float:
        """Records per CPU second, without the start; nan where so few records are lost in the noise of the start."""
        spent_s = self.cpu_s - self.start_s
        return self.records / spent_s if spent_s > 0 else float("nan")

    def plain(self) -> dict[str, Any]:
        """Plain values for the results file."""
        return {**self._asdict(), "per_cpu_second": self.per_cpu_second}


class Bench:
    """Traffic that is made once, the runs over it, and a folder and a broker for both."""

    def __init__(self, folder: Path, broker: Broker, starts: int) -> None:
        """`folder` is temporary, `broker` runs; `starts` is how often the CPU time of a start is measured."""
        self.folder, self.broker = folder, broker
        self._times_started = starts
        self._topics: dict[str, Topics] = {}
        self._files: dict[str, tuple[Path, Path, int]] = {}
        self._starts: dict[tuple[str, str, int], float] = {}
        self._numbers = count(1)

    def topics(self, shape: Shape | None) -> Topics:
        """Topics filled with this traffic; empty ones for None."""
        name = _name(shape)
        if name not in self._topics:
            self._topics[name] = Topics(self.broker, name)
            if shape is not None:
                self._topics[name].fill([kinds.made(shape)])
        return self._topics[name]

    def files(self, shape: Shape | None) -> tuple[Path, Path, int]:
        """Files of calls and outcomes with this traffic, and the number of records; empty ones for None."""
        name = _name(shape)
        if name not in self._files:
            records = kinds.made(Shape(1) if shape is None else shape)
            records = records if shape is not None else records.between(0, 0)
            folder = self.folder / name
            folder.mkdir()
            self._files[name] = (*records.write(folder), len(records))
        return self._files[name]

    def new_folder(self, name: str) -> Path:
        """A folder for one run."""
        folder = self.folder / f"{name}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def replay(self, build: Build, shape: Shape) -> Measured:
        """`aftercall replay` over files with this traffic."""
        start_s = self._start_s(build, "replay", 1)
        cpu_s, counts = self._replayed(build, shape)
        records = self.files(shape)[2]
        check_counts(counts, records)
        return Measured(records, cpu_s, start_s, counts)

    def run(self, build: Build, shape: Shape, processes: int = 1) -> Measured:
        """`aftercall run` over topics with this traffic, from their beginning until all is read, then stopped."""
        start_s = self._start_s(build, "run", processes)
        topics = self.topics(shape)
        service = Service(build, topics, self.new_folder("run"), processes=processes)
        running = service.start()
        try:
            service.wait_until_read(running, topics.records)
            cpu_s = running.stop()
        finally:
            running.kill()
        counts = service.counts()
        check_counts(counts, topics.records)
        shutil.rmtree(service.out)
        return Measured(topics.records, cpu_s, start_s, counts)

    def replay_stages(self, build: Build, shape: Shape) -> dict[str, Any]:
        """Nanoseconds per record of each stage in a replay, of the whole, and of a run that is not timed."""
        report = self.new_folder("stages") / "replay.json"
        self._replayed(build, shape, (*_WRAPPED, str(report)))
        return _stages(report, self.replay(build, shape))

    def run_stages(self, build: Build, shape: Shape) -> dict[str, Any]:
        """The same of a run on Kafka."""
        topics, folder = self.topics(shape), self.new_folder("stages")
        service = Service(build, topics, folder)
        running = service.start((*_WRAPPED, str(folder / "run.json")))
        try:
            service.wait_until_read(running, topics.records)
            running.stop()
        finally:
            running.kill()
        return _stages(folder / "run.json", self.run(build, shape))

    def _start_s(self, build: Build, command: str, processes: int) -> float:
        """CPU seconds of a run without records, the least of some."""
        key = (build.name, command, processes)
        if key not in self._starts:
            self._starts[key] = min(self._started(build, command, processes) for _ in range(self._times_started))
        return self._starts[key]

    def _started(self, build: Build, command: str, processes: int) -> float:
        if command == "replay":
            return self._replayed(build, None)[0]
        service = Service(build, self.topics(None), self.new_folder("start"), processes=processes)
        running = service.start()
        try:
            service.wait_until_loaded(running)
            return running.stop()
        finally:
            running.kill()

    def _replayed(
        self, build: Build, shape: Shape | None, wrapped: tuple[str, ...] = ()
    ) -> tuple[float, dict[str, int]]:
        calls, outcomes, _ = self.files(shape)
        folder = self.new_folder("replay")
        given: tuple[str, ...] = ("replay", "--calls", str(calls), "--outcomes", str(outcomes))
        given += ("--out", str(folder / "out"))
        if shape is not None and (settings := kinds.settings(shape.kind)):
            config = folder / "aftercall.toml"
            config.write_text(settings)
            given += ("--config", str(config))
        running = Running(build, (*wrapped, *given), folder / "replay.log")
        try:
            cpu_s = running.wait()
        finally:
            running.kill()
        counts = counted(folder / "out")
        shutil.rmtree(folder / "out")
        return cpu_s, counts


def _name(shape: Shape | None) -> str:
    if shape is None:
        return "empty"
    kind = f"-{shape.kind.replace(' ', '-')}{shape.share:g}" if shape.kind else ""
    return f"s{shape.statements}-g{shape.groups}-c{shape.calls}-p{shape.per_s:g}{kind}"


def _stages(report: Path, plain: Measured) -> dict[str, Any]:
    measured, records = json.loads(report.read_text()), plain.records
    ns = {stage: spent / records for stage, spent in measured["stages_ns"].items()}
    return {
        "records": records,
        "ns": ns,
        "whole_ns": measured["whole_ns"] / records,
        "plain_ns": 1e9 / plain.per_cpu_second,
    }
