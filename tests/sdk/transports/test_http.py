"""What the endpoint answers decides: it is there, it is refused, or it waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from aftercall.emitter import Emitter
from aftercall.transports.http import HttpTransport
from aftercall.transports.transport import Message, UnavailableError
from harness.emitting import closing, emit
from harness.endpoint import Endpoint, endpoint


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint() as state:
        yield state


def message(name: str) -> tuple[int, Message]:
    return int(name), Message("calls", name, b'{"id":%s}' % name.encode())


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 301, 401, 404])
def test_an_answer_that_may_change_makes_events_wait(server: Endpoint, status: int) -> None:
    transport = HttpTransport(server.url)
    server.answers = [(status, {})]
    with pytest.raises(UnavailableError, match=str(status)):
        transport.offer([message("1"), message("2")])
    assert transport.offer([message("1"), message("2")]) == 2
    assert [line["id"] for line in server.lines] == [1, 2]
    transport.close(1)


@pytest.mark.parametrize("raw", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 20", b"HTTP/1.1 abc OK\r\n\r\n"])
def test_garbage_and_a_closed_connection_make_events_wait(server: Endpoint, raw: bytes) -> None:
    transport = HttpTransport(server.url)
    server.raw = raw
    with pytest.raises(UnavailableError):
        transport.offer([message("1")])
    server.raw = None
    assert transport.offer([message("1")]) == 1
    transport.close(1)


def test_no_answer_in_time_makes_events_wait(server: Endpoint) -> None:
    held = threading.Event()
    server.waits = held.wait
    transport = HttpTransport(server.url, timeout_s=0.1)
    with pytest.raises(UnavailableError):
        transport.offer([message("1")])
    held.set()
    server.waits = lambda: None
    assert transport.offer([message("1")]) == 1
    transport.close(1)


def test_no_server_makes_events_wait() -> None:
    with endpoint() as gone:
        url = gone.url
    with pytest.raises(UnavailableError):
        HttpTransport(url).offer([message("1")])


def test_of_a_refused_request_only_the_event_that_is_refused_is_lost(server: Endpoint, tmp_path: Path) -> None:
    server.refuses = lambda line: line["call_id"] in {"17", "18", "90"}
    with closing(Emitter(HttpTransport(server.url), spool=tmp_path)) as emitter:
        emit(emitter, *map(str, range(100)))
        assert not emitter.flush(60)
        assert emitter.stats().dropped == {"refused_by_broker": 3}
    assert [int(line["call_id"]) for line in server.lines] == [n for n in range(100) if n not in {17, 18, 90}]


@pytest.mark.parametrize("date", [False, True])
def test_the_advice_when_to_come_again_is_read(server: Endpoint, *, date: bool) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True) if date else "90"
    server.answers = [(503, {"Retry-After": later})]
    with pytest.raises(UnavailableError) as raised:
        HttpTransport(server.url).offer([message("1")])
    assert raised.value.retry_after_s is not None
    assert 1 < raised.value.retry_after_s <= 90


def test_the_advice_is_followed(server: Endpoint, tmp_path: Path) -> None:
    server.answers = [(503, {"Retry-After": "2"}), (503, {"Retry-After": "nonsense"})]
    with closing(Emitter(HttpTransport(server.url), spool=tmp_path)) as emitter:
        began = time.monotonic()
        emit(emitter, "a")
        assert emitter.flush(60)
        assert time.monotonic() - began >= 2
    assert len(server.requests) == 3


def test_a_connection_is_kept_and_made_again_where_it_was_closed(server: Endpoint) -> None:
    transport = HttpTransport(server.url)
    for number in range(5):
        assert transport.offer([message(str(number))]) == 1
    assert server.connections == 1
    server.answers = [(204, {"Connection": "close"})]
    transport.offer([message("5")])
    transport.offer([message("6")])
    assert server.connections == 2
    assert len(server.lines) == 7
    transport.close(1)


def test_secrets_are_sent_and_are_not_in_the_destination(server: Endpoint) -> None:
    url = server.url.replace("http://", "http://user:p%40ss@") + "?token=t0ken"
    transport = HttpTransport(url, {"X-Key": "k3y"})
    assert transport.destination == server.url
    transport.offer([message("1")])
    (request,) = server.requests
    assert request["Authorization"] == "Basic dXNlcjpwQHNz"
    assert request["X-Key"] == "k3y"
    assert request["Content-Type"] == "application/x-ndjson"
    assert request["path"] == "/events?token=t0ken"
    transport.close(1)


def test_a_request_has_about_a_mebibyte() -> None:
    big = Message("calls", "k", b"x" * 600_000)
    assert len(HttpTransport("http://h")._batch([(1, big), (2, big), (3, big)])) == 1


@pytest.mark.parametrize("url", ["", "localhost:80", "ftp://host/", "http:///path"])
def test_what_is_no_url_of_http_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="must begin with"):
        HttpTransport(url)
