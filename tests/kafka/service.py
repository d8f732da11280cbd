"""Runs `aftercall run` between topics of its own, as a user would, and knows what must come of what it was sent."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import duckdb
from prometheus_client.parser import text_string_to_metric_families

from harness.waiting import HANG_S, assert_prompt, until
from kafka.clusters import Cluster
from states.published import newest
from system.forks import Fork
from system.runs import environment, sums_that_fail

STOP_S = 30.0
"""How long an end may take on an idle machine: `aftercall run` promises to stop within that."""
ASK_S = 60.0
"""How long a probe waits for its answer."""
VERDICTS = ("pending", "success", "failure")


class Pipeline:
    """A configuration, an output folder and topics; `start` runs the command over them."""

    def __init__(
        self, cluster: Cluster, folder: Path, *, partitions: int = 2, lanes: int = 2, **join: str | int
    ) -> None:
        self.cluster, self.folder, self.out = cluster, folder, folder / "out"
        self.partitions = partitions
        names = ("calls", "outcomes", "verdicts", "recommendations", "trust", "alerts", "dead_letters")
        # Marks by another name than the default: what other tests say on the broker that all share is not of this run.
        self.topics = cluster.fresh_topics(partitions, names) | {"marks": f"no-marks-{uuid.uuid4().hex[:12]}"}
        self.settings: dict[str, dict[str, Any]] = {
            "join": {"idle_after": "1s", **join},
            "kafka": {"brokers": cluster.bootstrap, "lanes": lanes},
            "kafka.topics": self.topics,
            "kafka.librdkafka": {k: v for k, v in cluster.client.items() if k != "bootstrap.servers"},
            "service": {"port": free_ports(4)},
        }
        self.verdicts: dict[str, str] = {}
        """Of each call that was sent, the verdict that must come."""
        self.outcomes = 0
        self.dead = Counter[str]()
        """Reasons of the dead letters that must come."""
        self.started: list[Running] = []
        self._seen: tuple[object, dict[str, Any]] = (None, {})

    # --- what is sent ------------------------------------------------------------------------------------------------

    def send(self, count: int, *, partition: int | None = None, ago_s: float = 600.0) -> None:
        """Send calls, and an outcome for two of three; the first `ago_s` old, each a millisecond younger."""
        began = time.time() - ago_s
        for index in range(count):
            number = len(self.verdicts)
            where = number % self.partitions if partition is None else partition
            name = f"call-{number}"
            self.verdicts[name] = VERDICTS[number % 3]
            call = {"call_id": name, "occurred_at": rfc3339(began + index / 1000), "task_type": "t", "model": "m"}
            self.cluster.send(self.topics["calls"], where, name, json.dumps(call))
            if number % 3:
                self.send_outcome(name, where, began + index / 1000 + 1, success=number % 3 == 1)
        self.cluster.flush()

    def send_outcome(self, call_id: str, partition: int, at: float, *, success: bool, **more: Any) -> None:
        """Send an outcome."""
        self.outcomes += 1
        outcome = {"outcome_id": f"o-{self.outcomes}", "call_id": call_id, "source": "s", "success": success}
        outcome |= {"occurred_at": rfc3339(at), **more}
        self.cluster.send(self.topics["outcomes"], partition, call_id, json.dumps(outcome))

    def ran(self, calls: int = 300) -> Pipeline:
        """Let it count so many calls and stop."""
        self.send(calls)
        running = self.start()
        running.until_counted()
        running.stop()
        return self

    def assert_goes_on(self, *options: str, processes: int = 1) -> None:
        """Started again it counts some more, and everything is right."""
        self.send(90)
        running = self.start(*options, processes=processes)
        running.until_counted()
        running.stop()
        self.assert_right()

    def send_refused(self, topic: str, partition: int, value: bytes, reason: str) -> None:
        """Send a record that must become a dead letter."""
        self.dead[reason] += 1
        self.cluster.send(self.topics[topic], partition, f"refused-{self.dead.total()}", value)

    # --- the command -------------------------------------------------------------------------------------------------

    def start(
        self, *options: str, processes: int = 1, before: Callable[[], None] | None = None, **settings: str
    ) -> Running:
        """Start the command; `before` is called in its process first, `settings` are environment variables.

        Its members, and it where there is `before`, are processes that have loaded nothing before.
        """
        config = self.folder / "aftercall.toml"
        config.write_text(toml(self.settings))
        printed = self.folder / f"printed-{len(self.started)}.txt"
        command = ["aftercall", "run", "--config", str(config), "--out", str(self.out)]
        command += ["--processes", str(processes), *options]
        env = environment(**{"AFTERCALL_CLAIM_WATCH_S": "6", **settings})  # longer than a heartbeat
        process = (
            Fork(command, cwd=self.folder, env=env, out=printed, err=printed)
            if before is None
            else fresh(command, self.folder, env, printed, before)
        )
        self.started.append(Running(self, process, printed))
        return self.started[-1]

    def close(self) -> None:
        """Kill what still runs."""
        for running in self.started:
            running.kill()

    # --- what came of it ---------------------------------------------------------------------------------------------

    def row(self) -> dict[str, Any]:
        """The snapshot's table `pipeline`; empty before there is a snapshot."""
        snapshot = newest(self.out)
        if snapshot != self._seen[0]:
            rows = self.table("SELECT * FROM pipeline")
            self._seen = (snapshot, rows[0] if rows else {})
        return dict(self._seen[1])

    def table(self, query: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]:
        """Rows of a query on the newest snapshot; none before there is one."""
        link = self.out / "outcomes.duckdb"
        if not link.exists():
            return []
        with duckdb.connect(str(link.resolve()), read_only=True) as snapshot:
            found = snapshot.execute(query, list(parameters))
            names = [str(column[0]) for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    @property
    def records(self) -> int:
        """How many records were sent."""
        return len(self.verdicts) + self.outcomes + self.dead.total()

    def all_counted(self) -> bool:
        """Whether the newest snapshot has as many records as were sent."""
        return bool(self.row().get("records", 0) >= self.records)

    def assert_right(self) -> None:
        """The newest snapshot, and the topics, hold what they must of everything that was sent: no more, no less."""
        row = self.row()
        expected = {
            "records": self.records,
            "calls": len(self.verdicts),
            "outcomes": self.outcomes,
            "duplicates": 0,
            "waiting": 0,
            "dead_letters": self.dead.total(),
            **dict(zip(("pending", "successes", "failures"), map(self._count, VERDICTS), strict=True)),
        }
        assert {name: row[name] for name in expected} == expected
        assert sums_that_fail(self.out) == []
        found = {r["call_id"]: r["verdict"] for r in self.table("SELECT call_id, verdict FROM calls")}
        assert found == self.verdicts
        reasons = self.table("SELECT reason, count(*) AS count FROM dead_letters GROUP BY reason")
        assert {r["reason"]: r["count"] for r in reasons} == dict(self.dead)
        newest: dict[str, dict[str, Any]] = {}
        for read in self.cluster.read_all(self.topics["verdicts"]):
            record = json.loads(read.value or b"")
            if record["seq"] >= newest.get(record["call_id"], record)["seq"]:
                newest[record["call_id"]] = record
        verdicts = {name: record["verdict"] for name, record in newest.items()}
        assert verdicts == {name: verdict for name, verdict in self.verdicts.items() if verdict != "pending"}
        letters = {
            json.loads(read.value or b"")["event_id"]: json.loads(read.value or b"")["reason"]
            for read in self.cluster.read_all(self.topics["dead_letters"])
        }
        assert Counter(letters.values()) == self.dead

    def _count(self, verdict: str) -> int:
        return sum(each == verdict for each in self.verdicts.values())


class Running:
    """The command while it runs, and what it printed."""

    def __init__(self, pipeline: Pipeline, process: Fork | subprocess.Popen[bytes], printed: Path) -> None:
        self.pipeline, self.process, self._printed = pipeline, process, printed

    def until(self, holds: Callable[[], bool], every_s: float = 0.1) -> None:
        """Wait for a condition; the command must not end meanwhile."""

        def holds_while_it_runs() -> bool:
            ended = self.process.poll()
            if holds():
                return True
            assert ended is None, (ended, self.printed())
            return False

        until(holds_while_it_runs, self._seen, every_s=every_s, moves=self._moves)

    def _seen(self) -> object:
        return self.pipeline.row(), self.printed()

    def _moves(self) -> object:
        """What changes while the service gets on, but not while it publishes the same again."""
        row: dict[str, Any] = {}
        with suppress(duckdb.Error):  # a test may have damaged it
            row = self.pipeline.row() | {"version": 0, "written_at": 0}
        return row, self.printed()

    def until_counted(self) -> None:
        """Wait until a snapshot has all that was sent."""
        self.until(self.pipeline.all_counted)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop it as an operator does; it must end in time, with exit code 0 and without an error."""
        self.process.send_signal(number)
        assert self.ended(STOP_S) == 0, self.printed()
        assert self.sentences() == [], self.printed()

    def kill(self) -> None:
        """End it as a power cut does; its members follow."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def ended(self, promised_s: float = HANG_S) -> int:
        """Its exit code, once it has ended by itself, within so many seconds of an idle machine."""
        began = time.monotonic()
        until(lambda: self.process.poll() is not None, self.printed, moves=self._moves)
        assert_prompt(began, promised_s, self.printed)
        return self.process.wait()

    def assert_refused(self, code: int, *parts: str, promised_s: float = HANG_S, members: bool = False) -> None:
        """It ended by itself with this code, and printed why in one line that holds `parts`.

        `members`: it was one of several processes and printed why; another line reports that the rest were ended.
        """
        assert self.ended(promised_s) == code, self.printed()
        sentences = self.sentences()
        assert all(re.fullmatch(r"aftercall: .+", sentence) for sentence in sentences), self.printed()
        if members:
            assert "every process must end by itself" in sentences.pop(), self.printed()
        assert len(sentences) == 1 or members, self.printed()
        for part in parts:
            assert part in sentences[0], (part, sentences)

    def printed(self) -> str:
        """All that it printed."""
        return self._printed.read_text(errors="replace")

    def sentences(self) -> list[str]:
        """The lines that are no log."""
        return [line for line in self.printed().splitlines() if not line.startswith('{"time": ')]

    def logged(self, part: str) -> bool:
        """Whether a line of the log has this part."""
        return part in self.printed()

    def probe(self, path: str, process: int = 0) -> tuple[int, str]:
        """The status of `/healthz` or `/readyz`, 0 where nothing answers, and the answer."""
        port = int(self.pipeline.settings["service"]["port"]) + process
        connection = HTTPConnection("127.0.0.1", port, timeout=ASK_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()

    def ready(self) -> bool:
        """Whether `/readyz` answers 200."""
        return self.probe("/readyz")[0] == 200

    def metric(self, name: str, process: int = 0, **labels: str) -> float | None:
        """The value of a metric; None where it is not there."""
        status, text = self.probe("/metrics", process)
        if status != 200:
            return None
        lines = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(name))  # to read all takes 5 ms
        for family in text_string_to_metric_families(lines):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def members(self) -> list[int]:
        """The processes that it has started."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return [int(pid) for task in tasks.glob("*/children") for pid in task.read_text().split()]


def fresh(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], printed: Path, before: Callable[[], None]
) -> subprocess.Popen[bytes]:
    """A process that has loaded nothing, and calls `before` first."""
    with printed.open("wb") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            preexec_fn=before,  # noqa: PLW1509 - sets limits, and nothing else
            start_new_session=True,
        )


def rfc3339(at: float) -> str:
    """A time since 1970 as the wire has it."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """A TOML file of texts and numbers."""
    return "".join(
        f"[{section}]\n" + "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in values.items())
        for section, values in sections.items()
    )


def free_ports(count: int) -> int:
    """The first of so many ports in a row on which no program listens; below those that brokers take."""
    first = 10_000 + os.getpid() * 16 % 9_000
    while not all(_is_free(first + i) for i in range(count)):
        first += count
    return first


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
