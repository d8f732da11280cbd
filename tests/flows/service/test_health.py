"""Alive, ready, or why not; and the server that reports it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection
from typing import Any

import pytest

from connectors.background import ONLY_LOGGED
from connectors.metrics import METRICS, Metrics
from flows.service.health import ASK_AGAIN_S, RECOVERY_WITHIN_S, Health
from flows.service.health_server import Server, ServiceError, listen, serve
from flows.service.peer_health import watch_peers
from flows.settings.sections import Service
from harness.waiting import HANG_S, until


class Wheel:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wheel() -> Wheel:
    return Wheel()


def health_of(wheel: Wheel, every_s: float = 60, **checks: Any) -> Health:
    every, stalled = timedelta(seconds=every_s), timedelta(seconds=60)
    return Health(stalled_after=stalled, snapshot_every=every, checks=checks, monotonic=wheel)


@pytest.fixture
def health(wheel: Wheel) -> Health:
    return health_of(wheel)


def running(health: Health) -> Health:
    health.loaded()
    return health


def test_a_process_that_loads_its_state_is_alive_and_not_ready(health: Health, wheel: Wheel) -> None:
    wheel.now = RECOVERY_WITHIN_S
    assert health.not_alive() == []
    assert health.not_ready() == ["state is being loaded"]


def test_a_process_that_loads_its_state_for_too_long_is_not_alive(health: Health, wheel: Wheel) -> None:
    wheel.now = RECOVERY_WITHIN_S + 1
    assert health.not_alive() == ["state is still being loaded after 601 s; 600 s are allowed"]


def test_a_dataflow_without_progress_is_neither_alive_nor_ready(health: Health, wheel: Wheel) -> None:
    running(health)
    wheel.now = 60
    assert health.not_alive() == health.not_ready() == []
    wheel.now = 61
    stuck = "the dataflow has made no progress for 61 s; 60 s are allowed (service.stalled_after)"
    assert health.not_alive() == health.not_ready() == [stuck]


def test_a_beat_keeps_it_alive(health: Health, wheel: Wheel) -> None:
    running(health)
    wheel.now = 59
    health.heartbeat.beat()
    wheel.now = 100
    assert health.not_alive() == []
    assert health.heartbeat.age_s() == 41


def test_every_lane_must_have_polled_before_it_is_ready(health: Health) -> None:
    health.expects_lane("agent.calls/1")
    health.expects_lane("agent.calls/0")
    running(health)
    health.polled("agent.calls/1")
    assert health.not_ready() == ["lane agent.calls/0 has had no answer from the broker so far"]
    health.polled("agent.calls/0")
    health.polled("agent.calls/0")
    assert health.not_ready() == []


def test_a_broker_that_is_away_makes_it_not_ready_yet_alive(wheel: Wheel) -> None:
    health = running(health_of(wheel, broker=lambda: "no broker of localhost:9092 answers"))
    assert health.not_ready() == ["broker: no broker of localhost:9092 answers"]
    assert health.not_alive() == []


def test_a_check_that_raises_is_a_reason(wheel: Wheel) -> None:
    def check() -> str | None:
        raise TimeoutError("took too long")

    assert running(health_of(wheel, broker=check)).not_ready() == ["broker: TimeoutError: took too long"]


def test_checks_are_asked_again_only_after_some_seconds(wheel: Wheel) -> None:
    answers = ["away", None]
    health = running(health_of(wheel, broker=lambda: answers.pop(0)))
    assert health.not_ready() == ["broker: away"]
    wheel.now = ASK_AGAIN_S - 0.1
    assert health.not_ready() == ["broker: away"]
    wheel.now = ASK_AGAIN_S
    assert health.not_ready() == []


def test_who_asks_while_a_check_is_being_asked_gets_its_last_answer(wheel: Wheel) -> None:
    met: list[list[str]] = []
    asked: Health = running(health_of(wheel, broker=lambda: met.append(asked.not_ready())))
    assert asked.not_ready() == []
    assert met == [["broker: the check has not run so far"]]


def test_a_snapshot_older_than_the_bound_makes_it_not_ready(health: Health, wheel: Wheel) -> None:
    health.expects_snapshots()
    running(health)
    wheel.now = 500
    health.published(1.0)
    wheel.now = 1_101
    health.heartbeat.beat()
    assert health.not_ready() == ["no snapshot was published for 601 s; 600 s are allowed"]


def test_the_first_snapshot_is_due_like_any_other(health: Health, wheel: Wheel) -> None:
    health.expects_snapshots()
    running(health)
    wheel.now = 601
    health.heartbeat.beat()
    assert health.not_ready() == ["no snapshot was published for 601 s; 600 s are allowed"]


def test_a_process_that_publishes_no_snapshots_is_not_asked_for_them(health: Health, wheel: Wheel) -> None:
    running(health)
    wheel.now = 100_000
    health.heartbeat.beat()
    assert health.not_ready() == []


@pytest.mark.parametrize(("every_s", "took_s", "bound_s"), [(60, 1, 600), (3600, 1, 10_800), (60, 120, 2400)])
def test_the_bound_follows_the_interval_and_what_publishing_takes(
    wheel: Wheel, every_s: float, took_s: float, bound_s: float
) -> None:
    health = health_of(wheel, every_s)
    health.published(took_s)
    assert health.snapshot_bound_s() == bound_s


def test_a_process_that_stops_is_not_ready_and_is_left_to_end_in_peace(health: Health, wheel: Wheel) -> None:
    running(health)
    health.stopping()
    wheel.now = 10_000
    assert health.not_ready() == ["the pipeline is stopping"]
    assert health.not_alive() == []


@pytest.fixture
def server(health: Health) -> Iterator[Server]:
    server = serve(health, "127.0.0.1", 0, Metrics())
    yield server
    server.close()


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=HANG_S)
    connection.request(method, path)
    answer = connection.getresponse()
    found = answer.status, answer.headers["Content-Type"], answer.read().decode()
    connection.close()
    return found


def test_probes_answer_json_with_reasons(server: Server, health: Health, wheel: Wheel) -> None:
    status, content_type, text = ask(server.port, "/readyz")
    assert (status, content_type) == (503, "application/json")
    reasons = ["state is being loaded"]
    assert json.loads(text) == {"status": "not ready", "reasons": reasons, "heartbeat_age_s": 0}
    running(health)
    wheel.now = 1.5
    assert json.loads(ask(server.port, "/readyz")[2]) == {"status": "ready", "reasons": [], "heartbeat_age_s": 1.5}
    assert ask(server.port, "/healthz?verbose")[0] == 200
    wheel.now = 100
    status, _, text = ask(server.port, "/healthz")
    assert (status, json.loads(text)["status"]) == (503, "stuck")


def test_metrics_are_served_as_prometheus_reads_them(server: Server) -> None:
    status, content_type, text = ask(server.port, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert 'aftercall_records_total{kind="call"} 0.0' in text


def test_another_path_is_not_found_and_the_answer_lists_which_there_are(server: Server) -> None:
    status, _, text = ask(server.port, "/")
    assert (status, json.loads(text)) == (404, {"error": "must be one of /metrics, /healthz, /readyz"})


def test_head_answers_without_a_body(server: Server) -> None:
    assert ask(server.port, "/healthz", "HEAD") == (200, "application/json", "")


def test_a_defect_in_an_answer_is_answered_and_logged_once_and_the_server_goes_on(
    server: Server, health: Health, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(health, "not_ready", {}.popitem)
        for _ in range(2):
            status, _, text = ask(server.port, "/readyz")
            assert (status, json.loads(text)) == (500, {"error": "a defect of aftercall; the log has it"})
    until(lambda: "KeyError" in caplog.text, lambda: caplog.text)
    assert ask(server.port, "/readyz")[0] == 503
    assert caplog.text.count("Traceback") == 1


def test_a_defect_that_ends_the_server_is_reported(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[BaseException] = []
    server = serve(health, "127.0.0.1", 0, Metrics(), on_defect=reported.append)
    monkeypatch.setattr(server._http, "service_actions", {}.popitem)
    until(lambda: bool(reported), lambda: "nothing reported")
    server._http.server_close()


def test_a_port_that_is_taken_is_one_sentence(server: Server, health: Health) -> None:
    rule = rf"^service: 127\.0\.0\.1:{server.port} must be free to listen on; Address already in use \(set service"
    with pytest.raises(ServiceError, match=rule):
        serve(health, "127.0.0.1", server.port)


@pytest.mark.parametrize(("host", "port"), [("192.0.2.1", 9464), ("no such host.invalid", 9464), ("127.0.0.1", 65_536)])
def test_an_address_that_cannot_be_had_is_one_sentence(health: Health, host: str, port: int) -> None:
    with pytest.raises(ServiceError, match=r"must be free to listen on; .+ \(set service.host and service.port"):
        serve(health, host, port)


def test_a_server_that_is_closed_gives_its_port_back(health: Health) -> None:
    first = serve(health, "127.0.0.1", 0)
    first.close()
    second = serve(health, "127.0.0.1", first.port)
    assert second.port == first.port
    second.close()


def test_process_i_listens_on_the_port_plus_i_and_reports_its_number(health: Health) -> None:
    free = serve(health, "127.0.0.1", 0)
    free.close()
    server = listen(Service(port=free.port - 1), 1, running(health), ONLY_LOGGED)
    assert server is not None
    assert server.port == free.port
    text = ask(server.port, "/metrics")[2]
    server.close()
    assert 'process="1"' in text
    assert "aftercall_ready 1.0" in text


def test_a_server_goes_on_to_answer_from_another_health_without_a_gap(wheel: Wheel) -> None:
    """The start waits for the broker, then the process loads its state: probes are answered all the time."""
    free = serve(health_of(wheel), "127.0.0.1", 0)
    free.close()
    service = Service(port=free.port)
    first = listen(service, 0, running(health_of(wheel, broker=lambda: "it has not answered yet")), ONLY_LOGGED)
    assert first is not None
    assert json.loads(ask(first.port, "/readyz")[2])["reasons"] == ["broker: it has not answered yet"]
    second = listen(service, 0, health_of(wheel), ONLY_LOGGED, first)
    assert second is first
    assert json.loads(ask(first.port, "/readyz")[2])["reasons"] == ["state is being loaded"]
    first.close()


def test_loading_state_needs_no_heartbeat_also_after_waiting_for_the_broker(health: Health, wheel: Wheel) -> None:
    running(health)
    health.not_loaded()
    wheel.now = 300
    assert health.not_alive() == []
    assert health.not_ready() == ["state is being loaded"]


def test_port_0_serves_nothing(health: Health) -> None:
    assert listen(Service(port=0), 3, health, ONLY_LOGGED) is None
    assert b"aftercall_ready 0.0" in METRICS.exposition()[0]


def test_process_0_answers_for_the_others_too(server: Server, health: Health, wheel: Wheel) -> None:
    first = running(health_of(wheel))
    watch_peers(first, Service(host="0.0.0.0", port=server.port - 1), 2)  # noqa: S104
    assert first.not_alive() == []
    assert first.not_ready() == ["process 1: state is being loaded"]
    running(health)
    wheel.now = 100
    first.heartbeat.beat()
    stuck = "process 1: the dataflow has made no progress for 100 s; 60 s are allowed (service.stalled_after)"
    assert first.not_alive() == first.not_ready() == [stuck]
    server.close()
    wheel.now = 110
    first.heartbeat.beat()
    assert first.not_alive() == [f"process 1: /healthz on port {server.port} does not answer (ConnectionRefusedError)"]


def test_a_peer_is_not_missed_before_state_is_loaded(wheel: Wheel) -> None:
    first = health_of(wheel)
    watch_peers(first, Service(port=1), 2)
    assert first.not_alive() == []


def test_without_a_server_no_process_is_asked(wheel: Wheel) -> None:
    first = running(health_of(wheel))
    watch_peers(first, Service(port=0), 3)
    assert first.not_ready() == []
