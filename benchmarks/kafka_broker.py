"""Runs Apache Kafka on this machine, one node in KRaft mode on loopback.

`make kafka`, the tests and the benchmarks use it:

    python -m benchmarks.kafka_broker [--port 9092] [--data FOLDER] [--fetch]

The command runs until ctrl-C or SIGTERM. It exits with code 1 and a sentence if something is missing or the broker ends
by itself.
"""

from __future__ import annotations

import argparse
import base64
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.kafka_classes import archived
from benchmarks.kafka_format import copied, keep
from benchmarks.kafka_jars import FILES, BrokerError, jars, java

HOST = "127.0.0.1"
START_S, STOP_S = 300.0, 120.0  # bound a hang: a busy machine takes ten times the usual 3 s
# Below the ports that systems assign to outgoing connections: a client that keeps trying the port of a stopped broker
# could otherwise be assigned that very port, connect to itself and keep the broker from coming back.
_PORTS = range(20_000, 32_000)
ClientSettings = dict[str, str | int | float | bool]
"""Configuration of librdkafka."""
LOSES_NONE: Final[ClientSettings] = {"enable.idempotence": True, "max.in.flight.requests.per.connection": 1}
"""What a producer needs so that each record which it reports as delivered is there, once and in order (0046)."""
_BRIEF = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# Reads until the process that started it has ended, in whatever way, and then kills the broker.
_WATCHDOG = 'read -r _; kill -9 "$1"'


class Broker:
    """One broker, stopped until `start`; as a context manager it starts, stops and removes its temporary folder.

    It never outlives the process that started it, even if that is killed. `start` after `stop` or `kill` serves the
    same records on the same port.

    Args:
        port: Where clients connect; by default any free port.
        data: A folder to keep; by default a temporary one.
        properties: Further lines of Kafka's server.properties, such as `{"message.max.bytes": "2000"}`.
        users: Passwords by user name; if given, clients must log in (SASL/PLAIN without TLS).
        heap: Java's memory, as in `-Xmx`.
        brief: For a life of minutes: Java compiles quickly rather than well, and keeps the classes of a broker between
            starts, as Kafka's tool's work is kept; that saves three quarters of a start's CPU. The very first start
            takes 7 s of CPU more. What is temporary is killed at the end.
        show_log: Kafka's warnings go to standard error instead of `log`.
        cluster: Its id, 16 bytes in URL-safe base64; by default drawn. The state of a run goes on in its cluster alone.
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        data: Path | None = None,
        properties: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        heap: str = "512m",
        brief: bool = False,
        show_log: bool = False,
        cluster: str | None = None,
    ) -> None:
        self.port = _free_port() if port is None else port
        self.data = Path(tempfile.mkdtemp(prefix="aftercall-kafka-")) if data is None else data.resolve()
        self.log = self.data / "broker.log"
        self._temporary = data is None
        self._properties = dict(properties or {})
        self._users = dict(users or {})
        self._java: tuple[str, ...] = (f"-Xms{heap}", f"-Xmx{heap}")
        self._brief = brief
        self._show_log = show_log
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """The value of `bootstrap.servers` for clients."""
        return f"{HOST}:{self.port}"

    @property
    def client(self) -> ClientSettings:
        """The settings of librdkafka for a client, which logs in as the first user if there are users."""
        settings: ClientSettings = {"bootstrap.servers": self.bootstrap}
        for name, password in list(self._users.items())[:1]:
            settings |= {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}
            settings |= {"sasl.username": name, "sasl.password": password}
        return settings

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start, and return once clients are served: after about 3 s, 5 s after `kill`.

        Raises:
            BrokerError: Java, Maven or the port are not available, or Kafka did not start.
        """
        if self.pid is not None:
            raise BrokerError(f"the broker on {self.bootstrap} is running already")
        command = [java(), "-cp", f"{jars()}/*", f"-Dlog4j2.configurationFile={FILES / 'log4j2.properties'}"]
        if self._brief:
            command += [*_BRIEF, archived(jars(), _run_once)]
        if not _is_free(self.port):
            raise BrokerError(f"port {self.port} is taken by another program; choose another (make kafka KAFKA_PORT=…)")
        self.data.mkdir(parents=True, exist_ok=True)
        configuration = self.data / "server.properties"
        configuration.touch(mode=0o600)
        configuration.write_text("".join(f"{key}={value}\n" for key, value in self._configuration().items()))
        if not (self.data / "records" / "meta.properties").exists():
            self._format(command, configuration)
        try:
            self._spawn([*command, *self._java, "kafka.Kafka", str(configuration)])
            self._wait_until_served()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End it as an operator does, with SIGTERM; does nothing if it is not running."""
        if self._process is not None and self.pid is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End it as a power cut does, with SIGKILL; does nothing if it is not running."""
        if self._process is not None:
            self._process.kill()
        self._reap()

    def wait(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        if self._process is None:
            raise BrokerError(f"the broker on {self.bootstrap} is not running")
        return self._process.wait()

    def close(self) -> None:
        """Stop it, and remove its folder if that is a temporary one."""
        if self._brief and self._temporary:
            self.kill()
        self.stop()
        if self._temporary:
            shutil.rmtree(self.data, ignore_errors=True)

    def topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        """Create a topic; see `create_topic`."""
        create_topic(self.client, name, partitions, config)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _configuration(self) -> dict[str, str]:
        controller = _free_port(other_than=self.port)
        lines = (line.partition("=") for line in (FILES / "server.properties").read_text().splitlines())
        fixed = {key: value for key, equals, value in lines if equals and not key.startswith("#")}
        own = {
            "listeners": f"CLIENTS://{self.bootstrap},CONTROLLER://{HOST}:{controller}",
            "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "log.dirs": str(self.data / "records"),
        }
        for name, password in list(self._users.items())[:1]:
            logins = " ".join(f'user_{user}="{word}"' for user, word in self._users.items())
            module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
            own |= {
                "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT",
                "sasl.enabled.mechanisms": "PLAIN",
                "sasl.mechanism.inter.broker.protocol": "PLAIN",
                "listener.name.clients.plain.sasl.jaas.config": (
                    f'{module} username="{name}" password="{password}" {logins};'
                ),
            }
        return fixed | own | self._properties

    def _format(self, command: list[str], configuration: Path) -> None:
        cluster, records = self._cluster or _new_id(), self.data / "records"
        if self._brief and copied(jars(), records, self._configuration()["node.id"], cluster, _new_id()):
            return
        done = subprocess.run(
            [*command, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        if done.returncode:
            raise BrokerError(f"Kafka could not prepare {self.data}: {(done.stderr or done.stdout)[-1000:].strip()}")
        keep(records, jars())

    def _spawn(self, command: list[str]) -> None:
        """Start broker and watchdog in sessions of their own: ctrl-C must reach only us, the watchdog outlive us."""
        with self.log.open("ab") as log:
            output = None if self._show_log else log
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "kafka-watchdog", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait_until_served(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise BrokerError(f"Kafka ended while it started: {self._log_tail()}")
            if not _is_free(self.port) and _answers(self.client):
                return
            time.sleep(0.05)
        raise BrokerError(f"Kafka did not start within {START_S:g} s: {self._log_tail()}")

    def _log_tail(self) -> str:
        return "see above" if self._show_log else self.log.read_text(errors="replace")[-2000:].strip()

    def _reap(self) -> None:
        """Reap both; the watchdog first, as the broker's process number may soon belong to another process."""
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
        if self._process is not None:
            self._process.wait()
        self._process = self._watchdog = None


def create_topic(
    client: ClientSettings, name: str, partitions: int = 1, config: Mapping[str, str] | None = None
) -> None:
    """Create a topic and return once every partition has a leader.

    For some more milliseconds a partition may answer NOT_LEADER_OR_FOLLOWER, which clients retry by themselves; they
    keep the order, and all records, only with `LOSES_NONE`.

    Args:
        client: Settings of librdkafka.
        name: Name of the topic, which must not exist.
        partitions: Number of partitions.
        config: The topic's settings, such as `{"retention.ms": "1000"}`.

    Raises:
        confluent_kafka.KafkaException: The broker refuses, or cannot be reached.
    """
    create_topics(client, [name], partitions, config)


def create_topics(
    client: ClientSettings, names: Sequence[str], partitions: int, config: Mapping[str, str] | None = None
) -> None:
    """As `create_topic`, for several that are alike, in one request."""
    admin = AdminClient(client | {"log_level": 2})
    wanted = [
        NewTopic(name, num_partitions=partitions, replication_factor=1, config=dict(config or {})) for name in names
    ]
    for created in admin.create_topics(wanted).values():
        created.result(START_S)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        # List all topics: after a request for one unknown topic, librdkafka caches that it is unknown.
        seen = admin.list_topics(timeout=START_S).topics
        leaders = [[part.leader for part in seen[name].partitions.values()] for name in names if name in seen]
        if len(leaders) == len(names) and all(len(one) == partitions and min(one) >= 0 for one in leaders):
            return
        time.sleep(0.02)
    raise BrokerError(f"topics {names} were created, and after {START_S:g} s some of their partitions have no leader")


def _run_once(option: str) -> None:
    """Start a broker as brief ones are, with one more option of Java, and stop it."""
    broker = Broker()
    broker._java += (*_BRIEF, option)  # noqa: SLF001 - our own
    with broker:
        pass


def _new_id() -> str:
    """An id as Kafka has them; never with a leading "-", which would be parsed as an option."""
    return "A" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]


def _answers(client: ClientSettings) -> bool:
    try:
        return bool(AdminClient({**client, "log_level": 0}).list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Kafka does: closed connections may linger
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port(other_than: int | None = None) -> int:
    ports = random.SystemRandom().sample(_PORTS, 200)
    for port in ports:
        if port != other_than and _is_free(port):
            return port
    raise BrokerError(f"none of 200 ports between {_PORTS.start} and {_PORTS.stop} is free")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a broker until it is stopped; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kafka_broker", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=9092)
    parser.add_argument("--data", type=Path, help="a folder that keeps the records; by default they are deleted")
    parser.add_argument("--fetch", action="store_true", help="only check that Java and the jars are here")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.fetch:
            java()
            jars()
            return 0
        with Broker(port=options.port, data=options.data, show_log=True) as broker:
            kept = f"kept in {broker.data}" if options.data else "deleted at the end (KAFKA_DATA=folder keeps them)"
            print(f"Kafka listens on {broker.bootstrap}; its records are {kept}. ctrl-C stops it.", flush=True)
            code = broker.wait()
        print(f"kafka: the broker ended by itself, exit code {code}", file=sys.stderr)
    except KeyboardInterrupt:
        return 0
    except BrokerError as error:
        print(f"kafka: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
