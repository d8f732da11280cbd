"""How the client is configured, what its errors mean, and that no secret is ever shown."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from connectors.kafka.client import (
    KafkaConfigError,
    KafkaFailure,
    admin_config,
    consumer_config,
    is_fatal,
    is_passing,
    producer_config,
    reach,
    sentence,
    try_settings,
)
from connectors.kafka.client_log import ClientLog
from connectors.kafka.cluster import OWN_KEYS, Cluster, hide_secrets, may_be_secret

MARK = "hush-3f9c"
NOWHERE = "localhost:1"


def error(name: str, reason: str = "Broker: no") -> KafkaError:
    return KafkaError(getattr(KafkaError, name), reason)


def test_what_the_promises_rest_on_stands_and_the_rest_passes_through() -> None:
    cluster = Cluster(brokers="a:1,b:2", group_id="g", librdkafka={"sasl.username": "u", "fetch.min.bytes": 7})
    consumer, producer = consumer_config(cluster), producer_config(cluster)
    for config in (consumer, producer, admin_config(cluster)):
        assert config["bootstrap.servers"] == "a:1,b:2"
        assert config["sasl.username"] == "u"
        assert config["fetch.min.bytes"] == 7
    assert consumer["group.id"] == "g"
    assert consumer["enable.auto.commit"] is False
    assert consumer["auto.offset.reset"] == "error"
    assert producer["enable.idempotence"] is True
    assert producer["acks"] == "all"
    assert producer["message.timeout.ms"] == 0


def test_whatever_is_fixed_is_refused_to_users() -> None:
    """Otherwise a setting would be overwritten without a word."""
    for configured in (consumer_config, producer_config, admin_config):
        for key in configured(Cluster(brokers="b")).keys() - OWN_KEYS.keys() - {"logger"}:
            assert configured(Cluster(brokers="b", librdkafka={key: 9}))[key] == 9, key


def test_another_name_of_a_default_replaces_it() -> None:
    config = producer_config(Cluster(brokers="b", librdkafka={"compression.codec": "lz4"}))
    assert config["compression.codec"] == "lz4"
    assert "compression.type" not in config


def test_a_secret_comes_from_its_file_without_the_newline_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    cluster = Cluster(brokers="b", librdkafka_files={"sasl.password": str(path)})
    for content, value in (("a b\n", "a b"), ("a\n\n", "a\n"), (" a ", " a "), ("a\r\n", "a")):
        path.write_bytes(content.encode())
        assert producer_config(cluster)["sasl.password"] == value
    path.write_text("changed", encoding="utf-8")
    assert consumer_config(cluster)["sasl.password"] == "changed"


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b"", "is empty"), (b"\xff", "UTF-8"), (b"a\0b", "is binary")]
)
def test_a_secret_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KafkaConfigError, match=message) as caught:
        consumer_config(Cluster(brokers="b", librdkafka_files={"sasl.password": str(path)}))
    assert str(caught.value).startswith('kafka.librdkafka_files: "sasl.password" must name a file')
    assert str(path) in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sasl.pasword": MARK}, 'No such configuration property: "sasl.pasword"'),
        ({"sasl.mechanism": "PLAIN", "security.protocol": "SASL_SSL"}, "sasl.username and sasl.password must be set"),
        ({"security.protocol": "SSL", "ssl.key.pem": MARK}, "ssl.key.pem failed"),
        ({"linger.ms": -5}, "outside allowed range"),
        ({"queue.buffering.max.messages": -1}, "queue.buffering.max.messages"),
        ({"max.poll.interval.ms": 10}, "max.poll.interval.ms"),
        ({"security.protocol": MARK, "sasl.password": MARK}, '"security.protocol"'),
    ],
)
def test_what_librdkafka_does_not_take_is_one_sentence_and_needs_no_broker(
    settings: dict[str, str | bool | int | float], message: str
) -> None:
    with pytest.raises(KafkaConfigError) as caught:
        try_settings(Cluster(brokers=NOWHERE, librdkafka=settings))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert MARK not in str(caught.value)


def test_settings_that_librdkafka_takes_are_taken() -> None:
    try_settings(Cluster(brokers=NOWHERE))
    oidc = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": "i",
        "sasl.oauthbearer.client.secret": MARK,
        "sasl.oauthbearer.token.endpoint.url": "http://localhost:1/token",
    }
    try_settings(Cluster(brokers=NOWHERE, librdkafka=dict(oidc)))


@pytest.mark.parametrize(
    "name",
    [
        "_AUTHENTICATION",
        "SASL_AUTHENTICATION_FAILED",
        "TOPIC_AUTHORIZATION_FAILED",
        "UNKNOWN_TOPIC_OR_PART",
        "_UNKNOWN_TOPIC",
        "UNSUPPORTED_VERSION",
        "_AUTO_OFFSET_RESET",
    ],
)
def test_waiting_does_not_help_against_these(name: str) -> None:
    assert is_fatal(error(name))
    assert not is_passing(error(name))
    assert sentence(error(name), "agent.calls").startswith("agent.calls: ")


def test_any_error_the_client_calls_fatal_is_fatal() -> None:
    dead = KafkaError(KafkaError._TRANSPORT, "x", True)
    assert is_fatal(dead)
    assert not is_passing(dead)


@pytest.mark.parametrize(
    "name", ["_TRANSPORT", "_ALL_BROKERS_DOWN", "_TIMED_OUT", "LEADER_NOT_AVAILABLE", "NOT_LEADER_FOR_PARTITION"]
)
def test_these_pass_by_themselves(name: str) -> None:
    assert is_passing(error(name))
    assert not is_fatal(error(name))
    assert "kafka.brokers" in sentence(error(name))


@pytest.mark.parametrize("name", ["MSG_SIZE_TOO_LARGE", "INVALID_RECORD", "POLICY_VIOLATION"])
def test_a_refusal_of_one_record_is_neither(name: str) -> None:
    assert not is_fatal(error(name))
    assert not is_passing(error(name))


def test_no_broker_there_is_one_sentence_with_the_last_reason() -> None:
    with pytest.raises(KafkaFailure, match="Connection refused") as caught:
        reach(Cluster(brokers=NOWHERE), timeout_s=0.6)
    assert "localhost:1 must answer within 0.6 s" in str(caught.value)
    assert "in state" not in str(caught.value)


def test_reaching_ends_when_asked_to_stop() -> None:
    with pytest.raises(KafkaFailure):
        reach(Cluster(brokers=NOWHERE), timeout_s=3600, give_up=lambda: True)


def test_no_secret_is_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "key"
    path.write_text(MARK + "-file\n", encoding="utf-8")
    cluster = Cluster(
        brokers=NOWHERE,
        librdkafka={"sasl.password": MARK, "sasl.username": "u", "security.protocol": "SASL_PLAINTEXT",
                    "sasl.mechanism": "PLAIN"},
        librdkafka_files={"ssl.key.password": str(path)},
    )  # fmt: skip
    caplog.set_level(logging.DEBUG)
    shown = [repr(cluster), str(cluster)]
    for config in (consumer_config(cluster), producer_config(cluster), admin_config(cluster)):
        assert config["sasl.password"] == MARK
        assert config["ssl.key.password"] == MARK + "-file"
        shown += [repr(config), str(config), f"{config}"]
    with pytest.raises(KafkaFailure) as caught:
        reach(cluster, timeout_s=0.3)
    ClientLog().log(logging.ERROR, "%s [%s] %s", "FAIL", "c", f"it sent {MARK}")
    leak = KafkaError(KafkaError._AUTHENTICATION, f"refused {MARK}-file")
    out, err = capfd.readouterr()
    shown += [str(caught.value), sentence(leak), caplog.text, out, err]
    assert "it sent ***" in caplog.text
    assert MARK not in "".join(shown)
    assert hide_secrets(f"a\n{MARK}") == "a ***"


def test_what_may_be_secret_is_recognized_by_its_key() -> None:
    for key in ("sasl.password", "ssl.key.pem", "ssl.keystore.password", "sasl.oauthbearer.client.secret",
                "sasl.oauthbearer.config", "https.proxy.url"):  # fmt: skip
        assert may_be_secret(key)
    for key in ("sasl.username", "sasl.mechanism", "ssl.ca.location", "security.protocol", "linger.ms"):
        assert not may_be_secret(key)


def test_the_client_s_own_log_is_quiet_and_never_on_standard_error(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Lost connections are reported 20 times a second, and settings of other kinds of clients are no news."""
    caplog.set_level(logging.DEBUG, logger="aftercall.broker")
    now = [0.0]
    log = ClientLog(lambda: now[0])
    for n in range(50):
        log.log(40, "%s [%s] %s", "FAIL", "producer-1", f"[thrd:a:1/bootstrap]: a:1: refused (after {n}ms)")
    log.log(30, "%s [%s] %s", "CONFWARN", "c", "fetch.min.bytes is a consumer property and will be ignored by this")
    assert [(one.levelno, one.message) for one in caplog.records] == [
        (logging.DEBUG, "FAIL: a:1: refused (after 0ms)"),
    ]
    assert log.reason == "a:1: refused (after 49ms)"
    now[0] = 10.0
    log.log(50, "%s [%s] %s", "FAIL", "producer-1", "[thrd:a:1/bootstrap]: a:1: refused (after 7ms)")
    assert len(caplog.records) == 2
    assert capfd.readouterr() == ("", "")
