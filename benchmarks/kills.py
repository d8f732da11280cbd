"""Kills the pipeline repeatedly, and counts lost or changed rows: `make bench-kills`.

    python -m benchmarks.kills [--kills 50] [--calls N] [--round SECONDS] [--seed N] [--only MOMENT] [--keep FOLDER]

While producers write to a real broker, one or two processes of `aftercall run` are killed with SIGKILL: at random
moments, during recovery, while a snapshot is being published, while state is compacted or segments of it are deleted,
one of two only, the parent only, and while the broker is away or has just come back. The result must equal that of an
uninterrupted run over the same topics, and the truth computed from the written records; if it does not, the exit code
is 1. `--write` renews benchmarks/results/kills.json and its section of docs/results.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, Final

from benchmarks import kill_compare, kill_report, report
from benchmarks.kafka_broker import Broker
from benchmarks.kafka_jars import BrokerError
from benchmarks.kill_compare import Differences, Left
from benchmarks.kill_process import MOST_PROCESSES, Pipeline, RunError, Spawn
from benchmarks.kill_traffic import CHANGED, PARTITIONS, Kind, Producers, history
from benchmarks.kill_truth import Truth

SEED: Final = 7
INPUTS: Final[dict[Kind, str]] = {"calls": "agent.calls", "outcomes": "agent.outcomes"}
OUTPUTS: Final = ("verdicts", "alerts", "recommendations", "trust", "dead_letters")
SETTINGS: Final = """
[join]
horizon = "72h"
orphan_wait = "60d"
idle_after = "15s"
[recovery]
epoch = "1s"
segment_kb = 2
[snapshot]
every = "2s"
"""
NEVER_IDLE: Final = "1h"
"""`idle_after` until all is written: producers wait while a round lasts longer, and a partition that is left out then
would be behind all others, which is another history than that of the uninterrupted run."""
CATCH_UP_S: Final = 900.0
MOMENTS: Final = (
    "published", "recovery", "publishing", "member", "parent", "broker stopped", "compacting", "recovery", "any",
    "broker killed", "deleting", "compacting", "published", "member", "publishing", "parent", "deleting", "any",
)  # fmt: skip
"""When the pipeline is killed, in this proportion; `member` and `parent` name the process that is killed."""
ANOTHER_IS_THERE: Final = "must be this run's alone; another is writing there"
ORPHANS_END_S: Final = 30.0
"""Members whose parent was killed must be gone after so long."""


@dataclass
class Round:
    """One start and its kill."""

    moment: str
    processes: int
    killed_after_s: float = 0.0
    read_again_after_s: float | None = None
    complaints: list[str] = field(default_factory=list)


class Campaign:
    """Starts and kills the pipeline, a number of times."""

    def __init__(
        self, broker: Broker, pipeline: Pipeline, producers: Producers, round_s: float, draw: random.Random
    ) -> None:
        self._broker, self._pipeline, self._producers = broker, pipeline, producers
        self._round_s, self._draw = round_s, draw
        self._orphaned_at_s = -ORPHANS_END_S
        self._broker_starts: Thread | None = None
        self.rounds: list[Round] = []
        self.broker_deaths = 0
        self.sums_that_failed: list[str] = []
        self.loads: list[float] = []
        """Load of the machine, averaged over a minute, at each kill."""

    def run(self, kills: int, moments: Sequence[str]) -> None:
        """Kill the pipeline `kills` times, at these moments, while the producers write the history bit by bit."""
        moments = [moments[number % len(moments)] for number in range(kills)]
        self._draw.shuffle(moments)
        for number, moment in enumerate(moments):
            # Spread over the length of recent rounds, because producers that wait leave partitions idle.
            lasted = [self._round_s, *(earlier.killed_after_s for earlier in self.rounds[-5:])]
            self._producers.until((number + 1.5) / (kills + 1), statistics.mean(lasted))
            this = Round(moment, 2 if moment in {"member", "parent"} else self._draw.randint(1, MOST_PROCESSES))
            self.rounds.append(this)
            self._pipeline.start(this.processes, NEVER_IDLE)
            begun = time.monotonic()
            self._kill(this)
            this.killed_after_s = round(time.monotonic() - begun, 2)
            this.read_again_after_s, this.complaints = self._pipeline.resumed_s, self._pipeline.complaints()
            self._report(number, this)
            if self._draw.random() < 0.2:
                time.sleep(self._draw.uniform(0.5, 3))

    def finish(self, records: int, watermark: int) -> None:
        """Wait until the rest is written and read, then stop the pipeline.

        Raises:
            RunError: the pipeline does not reach these records and this watermark in time.
        """
        self._producers.until(2, 0)
        last = Round("end", self._draw.randint(1, MOST_PROCESSES))
        self._pipeline.start(last.processes)
        self._run_until(last, self._producers.done, CATCH_UP_S)
        self._run_until(last, lambda: kill_compare.progress(self._pipeline.out) == (records, watermark), CATCH_UP_S)
        self._producers.join()
        if (reached := kill_compare.progress(self._pipeline.out)) != (records, watermark):
            raise RunError(f"after {CATCH_UP_S:g} s it must be at {(records, watermark)}; it is at {reached}")
        self._wait_for_broker()
        self._pipeline.stop()

    def _kill(self, this: Round) -> None:
        pipeline, draw = self._pipeline, self._draw
        match this.moment:
            case "recovery":
                self._run_until(this, None, draw.uniform(0.2, self._recovers_within_s()))
            case "publishing":
                self._run_until(this, pipeline.publishing, CATCH_UP_S)
                time.sleep(draw.choice((0.0, 0.01, 0.05)))
            case "compacting" | "deleting":
                self._wait_until_reading(this)
                self._run_until(this, pipeline.segments_changed(gone=this.moment == "deleting"), CATCH_UP_S)
                time.sleep(draw.choice((0.0, 0.01, 0.1)))
            case "published":
                before = pipeline.newest()
                self._run_until(this, lambda: pipeline.newest() != before, CATCH_UP_S)
                self._run_until(this, None, draw.uniform(0, 2))
            case "broker stopped" | "broker killed":
                self._wait_until_reading(this)
                self._run_until(this, None, draw.uniform(0, self._round_s / 2))
                self._restart_broker(this)
            case _:
                self._wait_until_reading(this)
                self._run_until(this, None, draw.uniform(0, self._round_s))
        if this.moment == "member":
            pipeline.kill_member(draw)
        elif this.moment == "parent":
            pipeline.kill_parent()
            self._orphaned_at_s = time.monotonic()
        else:
            pipeline.kill_all(draw)

    def _wait_until_reading(self, this: Round) -> None:
        """Wait until the pipeline reads records again.

        Raises:
            RunError: it does not.
        """
        self._run_until(this, lambda: self._pipeline.resumed_s is not None, CATCH_UP_S)
        if self._pipeline.resumed_s is None:
            output = self._pipeline.output()
            raise RunError(f"it must read again within {CATCH_UP_S:g} s of its start; it printed: {output}")

    def _run_until(self, this: Round, enough: Callable[[], bool] | None, at_most_s: float) -> None:
        """Let the pipeline run until `enough` is true, for `at_most_s` seconds.

        Raises:
            RunError: it ends by itself; unless it reports that members of a killed parent still hold the folder.
        """
        deadline = time.monotonic() + at_most_s
        while time.monotonic() < deadline and not (enough is not None and enough()):
            if not self._pipeline.runs():
                complaints = self._pipeline.complaints()
                orphans = time.monotonic() - self._orphaned_at_s < ORPHANS_END_S
                if not (orphans and complaints and ANOTHER_IS_THERE in complaints[-1]):
                    raise RunError(f"it ended by itself, exit code {self._pipeline.process.returncode}: {complaints}")
                self._pipeline.start(this.processes, None if this.moment == "end" else NEVER_IDLE)
            time.sleep(0.002)

    def _restart_broker(self, this: Round) -> None:
        """End the broker; it comes back before the pipeline is killed, or some time after."""
        self._wait_for_broker()
        self.broker_deaths += 1
        (self._broker.stop if this.moment == "broker stopped" else self._broker.kill)()
        after_s = self._draw.uniform(0, 4)

        def back() -> None:
            time.sleep(after_s)
            self._broker.start()

        self._broker_starts = Thread(target=back)
        self._broker_starts.start()
        if self._draw.random() < 0.5:
            self._wait_for_broker()
            self._run_until(this, None, self._draw.uniform(0, 3))
        else:
            self._run_until(this, None, self._draw.uniform(0, 2))

    def _wait_for_broker(self) -> None:
        if self._broker_starts is not None:
            self._broker_starts.join()

    def _recovers_within_s(self) -> float:
        times = [earlier.read_again_after_s for earlier in self.rounds if earlier.read_again_after_s is not None]
        return max(1.5, 1.2 * statistics.median(times)) if times else 4.0

    def _report(self, number: int, this: Round) -> None:
        out = self._pipeline.out
        self.loads.append(os.getloadavg()[0])
        failed = kill_compare.sums_that_fail(out)
        self.sums_that_failed += [f"after kill {number + 1}: {line}" for line in failed]
        resumed = "not yet" if this.read_again_after_s is None else f"after {this.read_again_after_s:.1f} s"
        print(
            f"{number + 1:3d} {this.moment:14s} {this.processes} processes, reading {resumed:11s} "
            f"killed after {this.killed_after_s:5.1f} s; {kill_compare.progress(out)[0]} records in the snapshot",
            flush=True,
        )
        for line in (*this.complaints, *failed):
            print(f"      {line}", flush=True)


@dataclass(frozen=True)
class Outcome:
    """The result of a campaign; `wrong` lists what is not as it must be."""

    figures: dict[str, Any]
    sizes: dict[str, Any]
    details: dict[str, Any]
    wrong: list[str]


def campaign(
    folder: Path,
    *,
    kills: int,
    calls: int,
    round_s: float,
    seed: int,
    moments: Sequence[str] = MOMENTS,
    brief: bool = False,
    spawn: Spawn | None = None,
) -> Outcome:
    """Run a campaign and its reference, and compare.

    Args:
        folder: for the output folders and logs.
        kills: how often the pipeline is killed.
        calls: approximate number of calls in the history.
        round_s: mean time between two kills, in seconds.
        seed: seed of the history and of all random choices.
        moments: when it is killed; used in turn, in random order.
        brief: the campaign takes minutes, see `Broker`.
        spawn: starts the processes, see `Pipeline`.

    Raises:
        RunError: the pipeline ends by itself, or does not finish in time.
        BrokerError: the broker cannot be started.
    """
    begun = time.monotonic()
    sent = history(calls, seed)
    truth = Truth(sent, INPUTS)
    print(f"{len(sent)} records, {truth.counters['calls']} calls", flush=True)
    with Broker(brief=brief) as broker:
        for topic in INPUTS.values():
            broker.topic(topic, PARTITIONS)
        topics = {name: {output: f"{name}.{output}" for output in OUTPUTS} for name in ("killed", "reference")}
        for outputs in topics.values():
            for topic in outputs.values():
                broker.topic(topic, 3)
        pipelines = {
            name: Pipeline(folder, name, SETTINGS + _topics(outputs), broker.bootstrap, spawn)
            for name, outputs in topics.items()
        }
        producers = Producers(broker.client, INPUTS, sent, seed)
        producers.start()
        run = Campaign(broker, pipelines["killed"], producers, round_s, random.Random(seed))
        try:
            run.run(kills, moments)
            run.finish(len(sent), truth.watermark)
            print("the uninterrupted run", flush=True)
            Campaign(broker, pipelines["reference"], producers, 0, random.Random(seed)).finish(
                len(sent), truth.watermark
            )
        finally:
            producers.stop()
            for pipeline in pipelines.values():
                pipeline.end()
        left, reference = (Left(pipelines[name].out, broker.client, topics[name]) for name in topics)
    wrong = [*run.sums_that_failed, *kill_compare.sums_that_fail(pipelines["killed"].out, whole=True)]
    compared = kill_compare.against_truth(left, truth), kill_compare.against_run(left, reference)
    wrong += [line for differences in compared for line in differences.shown]
    wrong += [f"the uninterrupted run: {line}" for line in kill_compare.against_truth(reference, truth).shown]
    wrong += [*left.unlike_its_topics(), *kill_compare.alerts_missing(left, reference, CHANGED)]
    return Outcome(
        _figures(kills, run.rounds, compared, left),
        {"calls": truth.counters["calls"], "records": len(sent), "partitions": PARTITIONS, "round_s": round_s},
        {
            "what": "kills of `aftercall run` with SIGKILL; rows against the truth and against an uninterrupted run",
            "duration_s": round(time.monotonic() - begun),
            "moments": dict(Counter(one.moment for one in run.rounds)),
            "processes": dict(Counter(one.processes for one in run.rounds)),
            "broker_deaths": run.broker_deaths,
            "load_average": round(statistics.median(run.loads), 1),
            "alerts": kill_compare.alert_counts(left, reference),
            "counters": {name: count for name, count in left.counters.items() if name != "watermark"},
            "rounds": [asdict(one) for one in run.rounds],
        },
        wrong,
    )


def _figures(kills: int, rounds: list[Round], compared: Sequence[Differences], left: Left) -> dict[str, Any]:
    resumed = [one.read_again_after_s for one in rounds if one.read_again_after_s is not None]
    outputs = (left.verdicts, left.alerts, left.recommendations, left.dead_letters)
    return {
        "kills": kills,
        "rows_lost": sum(one.lost for one in compared),
        "rows_doubled": sum(one.doubled for one in compared),
        "rows_differing": sum(one.differing for one in compared),
        "resume_s_median": round(statistics.median(resumed), 2) if resumed else None,
        "repeated_outputs_share": round(
            sum(one.repeats for one in outputs) / max(1, sum(len(one.records) for one in outputs)), 4
        ),
    }


def _topics(outputs: dict[str, str]) -> str:
    return "[kafka.topics]\n" + "".join(f'{name} = "{topic}"\n' for name, topic in outputs.items())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign, report; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--calls", type=int, help="by default 60,000, and 6,000 more per kill")
    parser.add_argument("--round", type=float, default=8.0, help="seconds between two kills, on average")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--keep", type=Path, help="a folder for the output of the runs; by default it is removed")
    parser.add_argument("--only", choices=sorted(set(MOMENTS)), help="kill at these moments alone; writes nothing")
    parser.add_argument("--write", action="store_true", help="renew benchmarks/results/kills.json")
    options = parser.parse_args(arguments)
    calls = options.calls or 60_000 + 6_000 * options.kills
    with ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aftercall-kills-")))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            found = campaign(
                folder,
                kills=options.kills,
                calls=calls,
                round_s=options.round,
                seed=options.seed,
                moments=(options.only,) if options.only else MOMENTS,
            )
        except (BrokerError, RunError) as error:
            print(f"kills: {error}", file=sys.stderr)
            return 1
    print(json.dumps({"figures": found.figures, "alerts": found.details["alerts"]}, indent=1))
    if options.write and not options.only:
        path = report.write("kills", found.figures, seed=options.seed, sizes=found.sizes, details=found.details)
        print(f"wrote {path} and {kill_report.written(path)}")
    if found.wrong:
        print("\n".join(["kills: the run that was killed is not as it must be:", *found.wrong]), file=sys.stderr)
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
