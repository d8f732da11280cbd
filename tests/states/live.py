"""The traffic on two topics of a broker, and the service over them: killed with SIGKILL, or let go to their end."""

from __future__ import annotations

import hashlib
import pickle
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from benchmarks.kafka_broker import Broker
from kafka.clusters import RealCluster
from models import plain
from models.state import Envelopes, is_envelope
from states import stored
from states.files import WITHIN_S
from states.published import records_published
from states.traffic import KILL_S, PARTITIONS, SETTINGS, Sent, history
from system.commands import aftercall
from system.forks import Fork
from system.runs import environment

CLUSTER: Final = "YWZ0ZXJjYWxsLWdvbGRlbg"
"""The id of the cluster on which goldens are recorded and go on: a run's state belongs to one."""
CONFIG, OUT = "aftercall.toml", "out"
_TOPICS: Final = {"calls": "agent.calls", "outcomes": "agent.outcomes"}
_READ: Final = (*_TOPICS.values(), "agent.marks")
_UNDER_WAY_S: Final = 0.5
_SINCE_IDS: Final = 2
"""The version of the state of a lane from which on each position, (offset, id, ...), names its topic by its id."""


def fill(broker: Broker, folder: Path) -> None:
    """Make the topics, and write all of the traffic to them: every record has the same place each time."""
    make_topics(broker, folder)
    send(broker, history())


def make_topics(broker: Broker, folder: Path) -> None:
    """With the command that users have for it."""
    configure(broker, folder)
    made = aftercall(folder, "topics", "create", "--config", CONFIG, "--partitions", str(PARTITIONS))
    assert made.returncode == 0, made.stderr


def configure(broker: Broker, folder: Path) -> None:
    """Write the configuration of a service, which listens on no port."""
    own = f'[kafka]\nbrokers = "{broker.bootstrap}"\nlanes = {PARTITIONS}\n[service]\nport = 0\n'
    (folder / CONFIG).write_text(SETTINGS + own, encoding="utf-8")


def digest() -> str:
    """Of all that `fill` writes, and of where it writes it."""
    return hashlib.sha256(repr([(*record, record.partition) for record in history()]).encode()).hexdigest()


def send(broker: Broker, sent: Sequence[Sent]) -> None:
    """Return once the broker has them."""
    cluster = RealCluster(broker.client)
    for record in sent:
        cluster.send(_TOPICS[record.kind], record.partition, record.call_id, record.line)
    cluster.flush()


def adopt(broker: Broker, out: Path) -> None:
    """Give the positions of a golden the ids that the topics have here, as if it had been recorded on this broker."""
    admin = AdminClient(broker.client)
    answers = admin.describe_topics(TopicCollection(list(_READ)))
    ids = {name: str(answer.result().topic_id) for name, answer in answers.items()}
    envelopes = Envelopes()
    for part in (out / "state" / "recovery").glob("part-*.sqlite3"):
        with closing(sqlite3.connect(part)) as store:
            found = "SELECT rowid, ser_change FROM snaps WHERE step_id = 'outcomes.lanes' AND ser_change IS NOT NULL"
            for row, data in store.execute(found).fetchall():
                kept = pickle.loads(data)
                if not (isinstance(kept, bytes) and is_envelope(kept)):
                    continue
                envelope = envelopes.read(kept, "lanes")
                state: Any = envelope.content()
                if envelope.version < _SINCE_IDS:
                    continue
                for place, (offset, _, *more) in state["partitions"].items():
                    state["partitions"][place] = (offset, ids[place[0]], *more)
                sealed = envelopes.seal(envelope._replace(body=plain.pack(state)))
                store.execute("UPDATE snaps SET ser_change = ? WHERE rowid = ?", [pickle.dumps(sealed, 4), row])
            store.commit()


def run(folder: Path) -> None:
    """Start the service in a folder, and stop it once a snapshot has all of the traffic."""
    with Service(folder) as service:
        service.until(lambda: records_published(folder / OUT) == len(history()))
        service.stop()


def kill(broker: Broker, folder: Path) -> None:
    """Start the service, and kill it once it has stored that it has read up to `KILL_S` and reads on."""
    sent = history()
    first = sum(record.at < KILL_S for record in sent)
    make_topics(broker, folder)
    send(broker, sent[:first])
    with Service(folder) as service:
        service.until(lambda: stored.records_read(folder / OUT) == first and records_published(folder / OUT) == first)
        send(broker, sent[first : first + 100])
        time.sleep(_UNDER_WAY_S)


class Service:
    """`aftercall run` in a folder, killed at the end of the block where it still runs."""

    def __init__(self, folder: Path) -> None:
        self._printed = folder / "printed.txt"
        command = ["aftercall", "run", "--config", CONFIG, "--out", OUT]
        self._process = Fork(command, cwd=folder, env=environment(), out=self._printed, err=self._printed)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a condition; the service must not end meanwhile."""
        deadline = time.monotonic() + WITHIN_S
        while not holds():
            assert self._process.poll() is None, (self._process.returncode, self._output())
            assert time.monotonic() < deadline, self._output()
            time.sleep(0.2)

    def stop(self) -> None:
        """As an operator does; it must end with exit code 0."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(WITHIN_S) == 0, self._output()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()

    def _output(self) -> str:
        return self._printed.read_text(errors="replace")
