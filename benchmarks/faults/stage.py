"""One pipeline between topics of its own, a difficult history that is written bit by bit, and what is looked for.

Faults are caused by the functions beside this file. What they wait for and do not get is a finding, not an error: the
history is written and read to its end in any case, and judged.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from zlib import crc32

from confluent_kafka import Producer

from aftercall.times import format_time
from benchmarks import kill_compare
from benchmarks.faults.findings import Findings, Tolerance, count_tracebacks, judge
from benchmarks.kafka_broker import LOSES_NONE, Broker, ClientSettings
from benchmarks.kill_compare import Left
from benchmarks.kill_process import Pipeline, RunError, Spawn
from benchmarks.kill_traffic import CHUNK_US, HORIZON_US, PARTITIONS, Kind, Sent, history
from benchmarks.kill_truth import UNREAD, Rewound, Truth

OUTPUTS: Final = ("verdicts", "alerts", "recommendations", "trust", "dead_letters")
SOON_S: Final = 90.0
"""Within this, what must be said is said and what must end ends; a busy machine takes longer than an idle one."""
_CALLS: Final = 900
_WATCH_S: Final = "6"
"""How long a start watches for another service: a minute by default."""


class Stage:
    """A pipeline, its topics, what was written to them, and what was found."""

    def __init__(self, broker: Broker, folder: Path, name: str, seed: int, spawn: Spawn | None = None) -> None:
        """Create topics; nothing is written, nothing runs. `spawn`: see `Pipeline`."""
        self._spawn = spawn
        self.broker, self.folder, self.name = broker, folder, name
        self.findings, self.tolerance = Findings(), Tolerance()
        self.inputs: dict[Kind, str] = {"calls": f"{name}.calls", "outcomes": f"{name}.outcomes"}
        self.outputs = {each: f"{name}.{each}" for each in OUTPUTS}
        self.partitions = PARTITIONS
        self.sent: list[Sent | Rewound] = []
        """All that was written, in this order."""
        self._horizon_us, self._expected_errors = HORIZON_US, list[str]()
        self._left = history(_CALLS, seed)
        self._size = len(self._left)
        self._join: dict[str, Any] = {"horizon": "72h", "orphan_wait": "60d", "idle_after": "3s"}
        self.settings: dict[str, dict[str, Any]] = {
            "join": self._join,
            "kafka": {"brokers": broker.bootstrap, "group_id": name},
            "kafka.librdkafka": {key: value for key, value in broker.client.items() if key != "bootstrap.servers"},
            "recovery": {"epoch": "1s", "segment_kb": 2},
            "snapshot": {"every": "1s"},
            "kafka.topics": {
                **{str(kind): topic for kind, topic in self.inputs.items()},
                **self.outputs,
                "claims": f"{name}.claims",
            },
        }
        for topic in (*self.inputs.values(), *self.outputs.values()):
            broker.topic(topic, PARTITIONS)
        self.connect(broker.client)
        self.pipeline = self.another("out")
        self.others: list[Pipeline] = []

    # --- what is written ---------------------------------------------------------------------------------------------

    def connect(self, client: ClientSettings) -> None:
        """Write as a new producer: an old one keeps what it knew of topics that are gone."""
        settings: ClientSettings = {"linger.ms": 5, "log_level": 2, "reconnect.backoff.max.ms": 500}
        self._producer = Producer(client | LOSES_NONE | settings)

    def write(self, share: float, last: int | None = None) -> None:
        """Write the history up to a share of it; hour by hour, as no partition may be further ahead.

        `last`: but for this partition of both topics, which is written after all others.
        """
        held_back: list[Sent] = []
        while self._left and len(self._left) > (1 - share) * self._size:
            hour = self._left[0].at // CHUNK_US
            chunk = [record for record in self._left if record.at // CHUNK_US == hour]
            self._left = self._left[len(chunk) :]
            held_back += [record for record in chunk if record.partition == last]
            self.write_these(record for record in chunk if record.partition != last)
        self.write_these(held_back)

    def write_these(self, records: Iterable[Sent]) -> None:
        """Write records of one hour, or that are refused."""
        for record in records:
            self.sent.append(record)
            topic = self.inputs[record.kind]
            while True:
                try:
                    self._producer.produce(topic, record.value, record.key, record.partition, on_delivery=_delivered)
                    break
                except BufferError:
                    self._producer.poll(1)
            self._producer.poll(0)
        if left := self._producer.flush(SOON_S):
            raise RunError(f"what is written must be acknowledged within {SOON_S:g} s; {left} records were not")

    def write_refused(self, kind: Kind, records: Iterable[Mapping[str, Any] | bytes], reason: str) -> None:
        """Write records, in turn to all partitions, that must become dead letters."""
        at = round(self.now * 1e6)
        values = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
        self.write_these(
            Sent(at, kind, number % self.partitions, f"refused-{number}", value, reason)
            for number, value in enumerate(values)
        )

    def expired(self, kind: Kind, partition: int, since: int) -> None:
        """The topic has dropped the records of a partition that were written from this place in `sent` on."""
        self.sent = [
            record._replace(refused=UNREAD)
            if place >= since and isinstance(record, Sent) and (record.kind, record.partition) == (kind, partition)
            else record
            for place, record in enumerate(self.sent)
        ]

    def offset_taken(self, kind: Kind, partition: int) -> None:
        """Something that no consumer gets took an offset."""
        self.sent.append(Sent(0, kind, partition, "", b"", UNREAD))

    def rewound(self, records: int) -> None:
        """From here on the topics hold only the first records of `sent`, and what comes."""
        offsets = Counter((record.kind, record.partition) for record in self.sent[:records] if isinstance(record, Sent))
        self.sent += [Rewound(kind, part, offsets[kind, part]) for kind in self.inputs for part in range(PARTITIONS)]

    def spread_over(self, partitions: int) -> None:
        """What is written from here on goes to so many partitions."""
        self.partitions = partitions
        self._left = [record._replace(partition=crc32(record.key.encode()) % partitions) for record in self._left]

    def horizon(self, days: int) -> None:
        """Set the horizon of the join, before the first start."""
        self._horizon_us = days * 86_400_000_000
        self.configure("join", horizon=f"{days}d")

    @property
    def now(self) -> float:
        """The event time up to which the history is written, in s since 1970."""
        return max((record.at for record in self.sent if isinstance(record, Sent)), default=0) / 1e6

    @property
    def calls(self) -> list[Sent]:
        """The readable calls that are written, oldest first."""
        written = [record for record in self.sent if isinstance(record, Sent) and record.refused is None]
        return [record for record in written if record.kind == "calls" and record.value.startswith(b'{"')]

    @property
    def truth(self) -> Truth:
        """What must come of all that is written."""
        return Truth(self.sent, self.inputs, self._horizon_us)

    # --- the service -------------------------------------------------------------------------------------------------

    def another(self, name: str) -> Pipeline:
        """Another folder over the same topics, with the settings as they are now."""
        made = Pipeline(self.folder, name, "", self.broker.bootstrap, self._spawn)
        self._configured(made)
        return made

    def configure(self, section: str, **values: Any) -> None:
        """Change settings for the next start."""
        self.settings.setdefault(section, {}).update(values)
        self._configured(self.pipeline)

    def _configured(self, pipeline: Pipeline) -> None:
        port = {"service": {"port": pipeline.port, **self.settings.get("service", {})}}
        pipeline.config.write_text(toml(self.settings | port), encoding="utf-8")

    def start(
        self,
        *options: str,
        processes: int = 1,
        before: Callable[[], None] | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Start the service; `variables` are of the environment."""
        watch = {"AFTERCALL_CLAIM_WATCH_S": _WATCH_S}
        self.pipeline.start(processes, options=options, before=before, variables={**watch, **variables})

    def copied(self, name: str) -> Pipeline:
        """A second folder that is a copy of the first, which goes on as `pipeline`; returns the first."""
        first, self.pipeline = self.pipeline, self.another(name)
        shutil.copytree(first.out, self.pipeline.out, symlinks=True)
        self.others.append(first)
        return first

    def started(self, share: float, *options: str, **how: Any) -> None:
        """Write a share, start, and let it read that."""
        self.write(share)
        self.start(*options, **how)
        self.reads_all()

    def stop(self) -> None:
        """Stop it as an operator does."""
        self.pipeline.stop()

    # --- what must be ------------------------------------------------------------------------------------------------

    def until(self, holds: Callable[[], bool], what: str, within_s: float = SOON_S) -> bool:
        """Wait for a condition; a finding if it does not come, or the service ends meanwhile."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            ended = not self.pipeline.runs()
            if holds():
                return True
            if ended:
                code = self.pipeline.process.returncode
                self.findings.add("wrong", f"it ended (exit code {code}) before {what}: {self.heard()}")
                return False
            time.sleep(0.05)
        self.findings.add("wrong", f"within {within_s:g} s must be that {what}: {self.heard()}")
        return False

    def reads_all(self) -> None:
        """All that is written is counted in a snapshot, and time has come as far."""
        truth = self.truth
        wanted = truth.counters["records"], truth.watermark

        def counted() -> bool:
            records, watermark = kill_compare.progress(self.pipeline.out)
            return records >= wanted[0] and watermark >= wanted[1]

        self.until(counted, f"{wanted[0]} records are counted")

    def says(self, *parts: str, within_s: float = SOON_S) -> None:
        """Its log, or what it prints, has these words."""
        for part in parts:
            deadline = time.monotonic() + within_s
            while part not in self.pipeline.output():
                if time.monotonic() > deadline or (not self.pipeline.runs() and part not in self.pipeline.output()):
                    self.findings.add("silent", f"must say {part!r}; it says: {self.heard()}")
                    break
                time.sleep(0.05)

    def not_ready(self, *parts: str) -> None:
        """`/readyz` answers 503 with these words, and `/healthz` 200."""
        body = ""

        def so() -> bool:
            nonlocal body
            status, body = self.probe("/readyz")
            return status == 503 and all(part in body for part in parts)

        deadline = time.monotonic() + SOON_S
        while not so():
            if time.monotonic() > deadline or not self.pipeline.runs():
                self.findings.add("silent", f"/readyz must answer 503 with {parts}; got: {body!r}")
                return
            time.sleep(0.05)
        if (alive := self.probe("/healthz")[0]) != 200:
            self.findings.add("wrong", f"/healthz must answer 200; got {alive}")

    def ready(self) -> None:
        """`/readyz` answers 200 at last."""
        self.until(lambda: self.probe("/readyz")[0] == 200, f"/readyz answers 200, not {self.probe('/readyz')}")

    def paused(self, cause: str) -> None:
        """It says in its three places that it waits for this cause."""
        self.says(f"paused ({cause})")
        self.not_ready(f"{cause}: ")
        if self.metric("aftercall_paused", cause=cause) != 1:
            self.findings.add("silent", f"aftercall_paused must be 1 for {cause}")

    def resumes(self, cause: str) -> None:
        """It says in its three places that it goes on."""
        self.says(f"resumed ({cause})")
        if self.metric("aftercall_paused", cause=cause) != 0:
            self.findings.add("silent", f"aftercall_paused must be 0 for {cause}")

    def ends(self, code: int, *parts: str, within_s: float = SOON_S) -> None:
        """It ends by itself with this code, and says why in words that hold `parts`."""
        deadline = time.monotonic() + within_s
        while self.pipeline.runs():
            if time.monotonic() > deadline:
                self.findings.add("wrong", f"it must end within {within_s:g} s: {self.heard()}")
                self.pipeline.end()
                return
            time.sleep(0.05)
        found = self.pipeline.process.wait()
        if found != code:
            self.findings.add("wrong", f"exit code {code} was expected; got {found}: {self.heard()}")
        said = self.pipeline.complaints()
        for part in parts or ("",):
            if not any(part in line for line in said):
                self.findings.add("silent", f"must say {part!r}; it says: {said}")

    def expect_traceback(self, error: str) -> None:
        """A traceback that ends with this error is what must be printed."""
        self._expected_errors.append(error)

    def refused(self, code: int, *parts: str, options: Iterable[str] = (), **how: Any) -> None:
        """A start ends with this code and these words."""
        self.start(*options, **how)
        self.ends(code, *parts)

    def probe(self, path: str) -> tuple[int, str]:
        """Status and body; 0 where nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.pipeline.port}{path}", timeout=SOON_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, **labels: str) -> float | None:
        """The sum of a metric over the series with these labels; None without any."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = [line for line in self.probe("/metrics")[1].splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        found = [float(line.rpartition(" ")[2]) for line in lines if all(each in line for each in wanted)]
        return sum(found) if found else None

    def heard(self) -> str:
        """The end of what it has printed."""
        return self.pipeline.output()[-600:]

    # --- the end -----------------------------------------------------------------------------------------------------

    def finish(self, *options: str, processes: int = 1, **how: Any) -> None:
        """Write the rest, let the service read it all, and stop it."""
        self.write(2)
        if not self.pipeline.runs_now():
            self.start(*options, processes=processes, **how)
        self.reads_all()
        self.stop()

    def judge(self) -> Findings:
        """Read what was left as a consumer does, and compare."""
        left = Left(self.pipeline.out, self.broker.client, self.outputs)
        judge(self.findings, left, self.truth, self.pipeline, self.tolerance)
        for one in (self.pipeline, *self.others):
            count_tracebacks(self.findings, one, self._expected_errors)
        return self.findings

    def close(self) -> None:
        """Kill what still runs."""
        for one in (self.pipeline, *self.others):
            if one.runs_now():
                one.process.send_signal(signal.SIGCONT)
                one.end()


def call(call_id: str, at: float, **more: Any) -> dict[str, Any]:
    """A call at a time in s since 1970."""
    fields = {"call_id": call_id, "occurred_at": format_time(round(at * 1e6)), "task_type": "t", "model": "m"}
    return fields | more


def outcome(outcome_id: str, call_id: str, at: float, **more: Any) -> dict[str, Any]:
    """A statement at a time in s since 1970."""
    fields = {"outcome_id": outcome_id, "call_id": call_id, "occurred_at": format_time(round(at * 1e6))}
    return fields | {"source": "judge", "success": True} | more


def toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """A TOML file of texts and numbers."""
    return "".join(
        f"[{section}]\n" + "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in values.items())
        for section, values in sections.items()
    )


def _delivered(error: Any, _message: Any) -> None:
    if error is not None:
        raise RunError(f"a record could not be written: {error}")
