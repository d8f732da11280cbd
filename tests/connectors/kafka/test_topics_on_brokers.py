"""Reaching a broker, making topics on it, and the two commands that do so; as users type them."""

from __future__ import annotations

import json
import tomllib
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # they are public
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewPartitions

from aftercall.errors import ExitCode
from benchmarks.kafka_broker import Broker
from connectors.kafka.claim import TRANSACTIONAL_ID, Owner
from connectors.kafka.claim_board import ClaimBoard
from connectors.kafka.claim_log import ClaimLog
from connectors.kafka.claim_writer import ClaimWriter, missing_right
from connectors.kafka.claimant import Claimant, ClaimSettings, ClaimUnavailable
from connectors.kafka.client import KafkaFailure, Reached, consumer_config, producer_config, reach
from connectors.kafka.cluster import Cluster as Settings
from connectors.kafka.read_again import read_topic
from connectors.kafka.send_again import Copy, send_copies
from connectors.kafka.sink import KafkaPart
from connectors.kafka.topics import SETTINGS, create_topics
from connectors.kafka.writer import KafkaWriter
from harness.waiting import HANG_S, until
from kafka.clusters import Cluster, MockCluster, RealCluster
from system.commands import aftercall, assert_one_sentence

MARK = "hush-77aa"


def settings_of(broker: Cluster | Broker, **more: Any) -> Settings:
    client = dict(broker.client)
    return Settings(brokers=str(client.pop("bootstrap.servers")), librdkafka=client | more)


def fresh_names() -> dict[str, str]:
    stem = uuid.uuid4().hex[:8]
    return {key: f"{key.replace('_', '-')}-{stem}" for key in SETTINGS}


def written(folder: Path, broker: Cluster | Broker, names: dict[str, str], **more: str) -> Path:
    settings = settings_of(broker, **more)
    lines = ["[kafka]", f'brokers = "{settings.brokers}"', "[kafka.topics]"]
    lines += [f'{key} = "{name}"' for key, name in names.items()]
    lines += ["[contracts]", "publish = true"]
    lines += ["[kafka.librdkafka]", *(f"{json.dumps(key)} = {json.dumps(value)}"
                                      for key, value in settings.librdkafka.items())]  # fmt: skip
    path = folder / "aftercall.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def configs(broker: RealCluster, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    admin = AdminClient(dict(broker.client))  # its answers end with it
    (answer,) = admin.describe_configs([resource]).values()
    return {key: entry.value for key, entry in answer.result(HANG_S).items()}


# --- reaching --------------------------------------------------------------------------------------------------------


def test_what_is_there_and_what_is_missing_is_reported_and_nothing_is_made(broker: Cluster) -> None:
    there = broker.fresh_topic(3)
    for _ in range(2):
        found = reach(settings_of(broker), inputs=[there, "missing"], outputs=[there])
        assert found.partitions == {there: 3}
        assert found.missing == ("missing",)
        assert found.brokers == 1
        assert found.cluster_id


@pytest.mark.slow
def test_a_broker_that_comes_late_is_waited_for(new_broker: Callable[..., Broker]) -> None:
    broker = new_broker()
    asked: list[bool] = []

    def starting() -> bool:
        if not asked:
            broker.start()
        asked.append(True)
        return False

    assert reach(settings_of(broker), timeout_s=HANG_S, give_up=starting).brokers == 1
    assert asked


@pytest.fixture(scope="module")
def guarded(kafka_is_here: None) -> Any:
    """A broker with users: `admin` may everything, `reader` may see and read, the others nothing at first."""
    users = {"admin": f"a-{MARK}", "reader": f"r-{MARK}", "outsider": f"o-{MARK}", "service": f"s-{MARK}"}
    rules = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:admin;User:ANONYMOUS",
    }
    with Broker(users=users, properties=rules, brief=True) as broker:
        yield broker


def as_user(name: str) -> dict[str, str]:
    return {"sasl.username": name, "sasl.password": f"{name[0]}-{MARK}"}


@pytest.mark.slow
def test_wrong_credentials_are_reported_at_once_and_not_shown(guarded: Broker) -> None:
    with pytest.raises(KafkaFailure, match=r"must accept the credentials.*Invalid username or password") as caught:
        reach(settings_of(guarded, **{"sasl.password": f"wrong-{MARK}"}), timeout_s=HANG_S)
    assert MARK not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "reason"),
    [("SSL", "SSL handshake failed"), ("PLAINTEXT", "connection closed by peer")],
)
def test_the_wrong_protocol_is_reported_with_what_the_client_saw(guarded: Broker, protocol: str, reason: str) -> None:
    wrong = Settings(brokers=guarded.bootstrap, librdkafka={"security.protocol": protocol})
    # A busy machine needs longer for the first answer; the client's newest reason may be another one later.
    failures = []
    for within_s in (1.5, 3.0, 6.0, 12.0, 24.0, 48.0):
        failures.append(failure_within(wrong, within_s))
        if reason in failures[-1]:
            return
    pytest.fail(f"no failure says {reason!r}: {failures}")


def failure_within(cluster: Settings, timeout_s: float) -> str:
    with pytest.raises(KafkaFailure) as caught:
        reach(cluster, timeout_s=timeout_s)
    return str(caught.value)


@pytest.mark.slow
def test_a_secret_that_is_changed_is_read_again(guarded: Broker, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("wrong\n", encoding="utf-8")
    client = dict(guarded.client)
    del client["sasl.password"]
    mounted = Settings(
        brokers=str(client.pop("bootstrap.servers")),
        librdkafka=client,
        librdkafka_files={"sasl.password": str(path)},
    )
    with pytest.raises(KafkaFailure):
        reach(mounted, timeout_s=HANG_S)
    path.write_text(f"a-{MARK}\n", encoding="utf-8")
    assert reach(mounted, timeout_s=HANG_S).brokers == 1


@pytest.mark.slow
def test_a_user_without_the_right_to_write_is_refused_before_anything_starts_and_when_writing(
    guarded: Broker, tmp_path: Path
) -> None:
    names = fresh_names()
    create_topics(settings_of(guarded), names, partitions=1)
    admin = AdminClient(guarded.client)
    rights = [
        AclBinding(ResourceType.TOPIC, name, ResourcePatternType.LITERAL, "User:reader", "*", operation,
                   AclPermissionType.ALLOW)
        for name in names.values()
        for operation in (AclOperation.READ, AclOperation.DESCRIBE)
    ]  # fmt: skip
    for answer in admin.create_acls(rights).values():
        answer.result(HANG_S)
    reader = settings_of(guarded, **as_user("reader"))

    def found() -> Reached:
        return reach(reader, inputs=[names["calls"]], outputs=[names["verdicts"]], timeout_s=HANG_S, rights=True)

    until(lambda: not found().missing, found)  # rights take a moment to get around in the broker
    assert found().forbidden == ((names["verdicts"], "write"),)
    part = KafkaPart(KafkaWriter(producer_config(reader), "dead"), names["verdicts"])
    part.write_batch([[("k", b"{}")]])
    with pytest.raises(KafkaFailure, match="must let this user read the input topics and write the outputs"):
        part.snapshot()
    # To read dead letters takes no right to a group; to send them again takes one to write.
    guarded_topic, partition = names["dead_letters"], 0
    send_copies(settings_of(guarded), [Copy(guarded_topic, partition, None, b"{}", ())])
    assert [sent.value for sent in read_topic(reader, guarded_topic)] == [b"{}"]
    with pytest.raises(KafkaFailure, match="must let this user read the input topics and write the outputs"):
        send_copies(reader, [Copy(names["calls"], partition, None, b"{}", ())])
    checked = aftercall(tmp_path, "check", "--config", written(tmp_path, guarded, names, **as_user("reader")))
    assert checked.returncode == ExitCode.NO
    for kind in ("calls", "outcomes"):
        assert f"# {names[kind]}: this user may not write it, as `aftercall dead-letters red" in checked.stdout
    outsider = settings_of(guarded, **as_user("outsider"))
    assert set(reach(outsider, inputs=list(names.values())).missing) == set(names.values())
    with pytest.raises(KafkaFailure, match="must let this user"):
        create_topics(outsider, fresh_names())


@pytest.mark.slow
def test_a_user_with_the_rights_of_the_documents_can_make_claims_and_one_without_is_named_what_is_missing(
    guarded: Broker, tmp_path: Path
) -> None:
    names, admin = fresh_names(), AdminClient(guarded.client)
    create_topics(settings_of(guarded), names, partitions=1)
    allow = ("User:service", "*")

    def grant(kind: ResourceType, name: str, pattern: ResourcePatternType, *operations: AclOperation) -> None:
        rights = [AclBinding(kind, name, pattern, *allow, one, AclPermissionType.ALLOW) for one in operations]
        for answer in admin.create_acls(rights).values():
            answer.result(HANG_S)

    for key, name in names.items():
        read = [AclOperation.READ] if key in {"calls", "outcomes", "marks", "claims"} else []
        write = [AclOperation.WRITE] if key not in {"calls", "outcomes", "marks"} else []
        grant(ResourceType.TOPIC, name, ResourcePatternType.LITERAL, AclOperation.DESCRIBE, *read, *write)
    service = settings_of(guarded, **as_user("service"))
    path = written(tmp_path, guarded, names, **as_user("service"))
    until(lambda: not reach(service, outputs=list(names.values())).missing, names.values)
    done = aftercall(tmp_path, "check", "--config", path)
    assert done.returncode == ExitCode.DONE, "a service runs without claims too"
    assert f"{names['claims']}: this user must be allowed to Describe and Write transactional ids" in done.stderr
    assert "this host's clock is not watched" in done.stderr
    settings = ClaimSettings(topic=names["claims"], owner=Owner("run", "/data", "host"), stored=0)

    def claimant() -> Claimant:
        log = ClaimLog(consumer_config(service), names["claims"], "key")
        writer = ClaimWriter(producer_config(service), names["claims"], "key")
        return Claimant(settings, log, writer, ClaimBoard(tmp_path / "claim"), lambda: False)

    with pytest.raises(ClaimUnavailable, match="authorization failed"):
        claimant().take()
    prefixed, both = ResourcePatternType.PREFIXED, (AclOperation.WRITE, AclOperation.DESCRIBE)
    grant(ResourceType.TRANSACTIONAL_ID, TRANSACTIONAL_ID, prefixed, *both)
    until(lambda: missing_right(service) is None, lambda: missing_right(service))
    claimant().take()
    done = aftercall(tmp_path, "check", "--config", path)
    assert f"{names['claims']}: claims can be made" in done.stdout


# --- making topics ---------------------------------------------------------------------------------------------------


def test_missing_topics_are_made_as_the_reference_wants_them_and_a_second_time_nothing_is(
    real_broker: RealCluster,
) -> None:
    names, settings = fresh_names(), settings_of(real_broker)
    made = create_topics(settings, names, partitions=3)
    wanted = [(names[key], "created", 1 if key in {"marks", "claims"} else 3) for key in SETTINGS]
    assert [(one.topic, one.state, one.partitions) for one in made] == wanted
    for key, of_topic in SETTINGS.items():
        assert of_topic.items() <= configs(real_broker, names[key]).items()
    again = create_topics(settings, names)
    assert {(one.state, one.differences) for one in again} == {("exists", ())}


def test_trying_makes_nothing(real_broker: RealCluster) -> None:
    names, settings = fresh_names(), settings_of(real_broker)
    assert {one.state for one in create_topics(settings, names, dry_run=True)} == {"would be created"}
    assert set(reach(settings, inputs=list(names.values())).missing) == set(names.values())


def test_an_input_gets_as_many_partitions_as_the_other_one_has(real_broker: RealCluster) -> None:
    names = fresh_names()
    real_broker.create_topic(names["outcomes"], 5)
    made = {one.topic: one for one in create_topics(settings_of(real_broker), names)}
    assert made[names["calls"]].partitions == 5
    assert made[names["verdicts"]].partitions == 12
    assert made[names["outcomes"]].state == "exists"


def test_existing_topics_are_left_alone_and_their_differences_reported(real_broker: RealCluster) -> None:
    names = fresh_names()
    real_broker.create_topic(names["calls"], 2, cleanup_policy="compact", retention_ms="1000")
    real_broker.create_topic(names["outcomes"], 3)
    found = {one.topic: one.differences for one in create_topics(settings_of(real_broker), names, partitions=1)}
    policy, retention = found[names["calls"]]
    assert policy.startswith(f"{names['calls']}: cleanup.policy should be delete; it is compact; outcomes of one call")
    assert retention.startswith(f"{names['calls']}: retention.ms should be at least 86400000 (1 d)")
    (uneven,) = found[names["outcomes"]]
    assert "they have 3 and 2" in uneven
    assert configs(real_broker, names["calls"])["cleanup.policy"] == "compact"


def test_what_the_broker_cannot_do_is_one_sentence(real_broker: RealCluster) -> None:
    with pytest.raises(KafkaFailure, match=r"replication factor.*--replication") as caught:
        create_topics(settings_of(real_broker), fresh_names(), replication=9)
    assert "\n" not in str(caught.value)


# --- as typed --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_topics_are_made_from_the_command_line(real_broker: RealCluster, tmp_path: Path) -> None:
    names = fresh_names()
    written(tmp_path, real_broker, names)
    command = ("topics", "create", "--config", "aftercall.toml", "--partitions", "2")
    tried = aftercall(tmp_path, *command, "--dry-run")
    assert (tried.returncode, tried.stderr) == (0, "")
    assert f"{names['calls']}: would be created, 2 partitions, cleanup.policy=delete, " in tried.stdout
    made = json.loads(aftercall(tmp_path, *command, "--json").stdout)["topics"]
    assert {one["state"] for one in made} == {"created"}
    done = aftercall(tmp_path, *command)
    assert (done.returncode, done.stderr) == (0, "")
    counts = {key: 1 if key in {"marks", "claims"} else 2 for key in SETTINGS}
    assert done.stdout.splitlines() == [f"{names[key]}: exists, {count} partitions" for key, count in counts.items()]


@pytest.mark.slow
def test_check_reaches_the_broker_and_finds_what_is_missing(real_broker: RealCluster, tmp_path: Path) -> None:
    names = fresh_names()
    path = written(tmp_path, real_broker, names)
    done = aftercall(tmp_path, "check", "--config", path)
    assert done.returncode == ExitCode.NO
    assert len(done.stderr.splitlines()) == 11
    assert f"aftercall: {names['claims']}: is missing or hidden" in done.stderr
    assert "this host's clock is not watched" in done.stderr
    assert f"aftercall: {names['marks']}: is missing or hidden, so that no marks are read" in done.stderr
    assert f"aftercall: {names['trust']}: is missing or hidden, so that scores of trust are in the" in done.stderr
    for key in names.keys() - {"marks", "trust", "claims"}:
        name = names[key]
        rule = "the topic must exist, and this user must be allowed to see it"
        assert f"aftercall: kafka.topics.{key}: {rule}; {name} is missing" in done.stderr
    assert aftercall(tmp_path, "check", "--config", path, "--no-broker").returncode == 0
    create_topics(settings_of(real_broker), names, partitions=2)
    done = aftercall(tmp_path, "check", "--config", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"# {names['calls']}: 2 partitions" in done.stdout
    assert tomllib.loads(done.stdout)["kafka"]["topics"] == names
    found = json.loads(aftercall(tmp_path, "check", "--config", path, "--json").stdout)["broker"]
    assert {one["level"] for one in found} == {"ok"}
    admin = AdminClient(dict(real_broker.client))
    admin.create_partitions([NewPartitions(names["outcomes"], 3)])[names["outcomes"]].result(HANG_S)
    done = aftercall(tmp_path, "check", "--config", path)
    assert done.returncode == 0
    assert f"{names['calls']} and {names['outcomes']}: must have as many partitions" in done.stderr
    assert f"{names['calls']} 2 and {names['outcomes']} 3" in done.stderr


@pytest.mark.slow
def test_nothing_that_is_printed_shows_a_secret(guarded: Broker, tmp_path: Path) -> None:
    """In the file, in the environment, in a file of its own; right and wrong ones."""
    path = written(tmp_path, guarded, fresh_names(), **{"ssl.key.password": MARK})
    mounted = tmp_path / "mounted"
    mounted.write_text(MARK + "\n", encoding="utf-8")
    files = {"AFTERCALL_KAFKA__LIBRDKAFKA_FILES": json.dumps({"ssl.keystore.password": str(mounted)})}
    wrong = {"AFTERCALL_KAFKA__LIBRDKAFKA": json.dumps({"sasl.password": f"wrong-{MARK}", "debug": "all"})}
    commands = (("check",), ("check", "--json"), ("check", "--no-broker"), ("topics", "create", "--dry-run"))
    runs = [
        aftercall(tmp_path, *command, "--config", path, **env) for env in (files, files | wrong) for command in commands
    ]
    assert [done.returncode for done in runs] == [3, 3, 0, 0, 1, 1, 0, 1]
    assert runs[2].stdout.count("is set, and not shown") == 2
    for done in runs:
        assert MARK not in done.stdout + done.stderr, done.args
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_broker_that_is_not_there_is_one_sentence(mock_broker: MockCluster, tmp_path: Path) -> None:
    names = fresh_names()
    path = written(tmp_path, mock_broker, names)
    mock_broker._library.rd_kafka_mock_broker_set_down(mock_broker._cluster, 1)
    done = aftercall(tmp_path, "topics", "create", "--config", path)
    assert_one_sentence(done, 1, "kafka.brokers: a broker of", "must answer within 15 s")
