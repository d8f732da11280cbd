"""The proxy hands requests on as they are, and breaks those of the tools that `--inject` names."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from aftercall.errors import UsageError
from aftercall.evals.faults.injection import Injections
from aftercall.evals.faults.uses import SeenUse
from connectors.agents.http_proxy import FaultProxy, Upstream

OFFERS = {"items": [{"id": 1, "at": "2026-11-30"}, {"id": 2, "at": "2026-11-29"}], "total": 2}


class Tools(BaseHTTPRequestHandler):
    """What stands behind the proxy; echoes what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/tools/search"):
            self._answer(200, "application/json", json.dumps(OFFERS).encode())
        elif self.path == "/tools/picture":
            self._answer(200, "image/png", b"\x89PNG\xff")
        elif self.path == "/tools/stream":
            self._stream()
        elif self.path == "/tools/moved":
            self.send_response(302)
            host, port = self.headers["Host"].split(":")
            self.send_header("Location", f"http://{host}:{port}/tools/search")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._answer(404, "application/json", b'{"error": "no such tool"}')

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        said = {"body": body.decode(), "path": self.path, "key": self.headers.get("Authorization")}
        self._answer(201, "application/json", json.dumps(said).encode())

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (b"data: 1\n\n", b"data: 2\n\n"):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Tools)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_address[1]}/tools"


Proxied = Callable[..., tuple[str, list[SeenUse]]]


@pytest.fixture
def proxied(upstream: str) -> Iterator[Proxied]:
    """Starts a proxy with an `--inject`; gives its address and what it logs."""
    open_proxies = []

    def start(text: str, hold_s: float = 30.0) -> tuple[str, list[SeenUse]]:
        seen: list[SeenUse] = []
        proxy = FaultProxy(Upstream.parse(upstream), Injections.parse(text, 1), seen.append, hold_s=hold_s)
        running = serving(proxy)
        running.__enter__()
        open_proxies.append(running)
        return proxy.url, seen

    yield start
    for running in open_proxies:
        running.__exit__(None, None, None)


def asked(
    url: str, *, case: str = "c1", run: str = "r1", body: bytes | None = None, **headers: str
) -> tuple[int, Any, dict[str, str]]:
    sent = {"baggage": f"aftercall-run={run},aftercall-case={case}", **headers}
    request = urllib.request.Request(url, data=body, headers=sent)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            return response.status, _read(response.read()), dict(response.headers)
    except urllib.error.HTTPError as error:
        return error.code, _read(error.read()), dict(error.headers)


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def settled(seen: list[SeenUse], count: int) -> list[SeenUse]:
    """What was logged once so many requests have ended: the agent has its answer before."""
    deadline = time.monotonic() + 60
    while len(seen) < count and time.monotonic() < deadline:
        time.sleep(0.005)
    return seen


def test_what_is_not_broken_passes_as_it_is(proxied: Proxied) -> None:
    url, seen = proxied("error:mail")
    assert asked(f"{url}/search?q=1")[:2] == (200, OFFERS)
    assert asked(f"{url}/picture")[1] == b"\x89PNG\xff"
    assert asked(f"{url}/stream")[1] == b"data: 1\n\ndata: 2\n\n"
    status, said, _ = asked(f"{url}/orders/7", body=b'{"a": 1}', Authorization="Bearer x")
    assert (status, said) == (201, {"body": '{"a": 1}', "path": "/tools/orders/7", "key": "Bearer x"})
    assert asked(f"{url}/nothing")[0] == 404
    uses = settled(seen, 5)
    assert [use.tool for use in uses] == ["search", "picture", "stream", "orders", "nothing"]
    assert [use.ok for use in uses] == [True, True, True, True, False]
    assert not any(use.applied for use in uses)


@pytest.mark.parametrize(
    ("entry", "status", "found"),
    [
        ("error:search", 500, {"error": "internal error"}),
        ("empty:search", 200, {"items": [], "total": 0}),
        ("partial:search", 200, {**OFFERS, "items": OFFERS["items"][:1], "partial": True}),  # type: ignore[index]
        ("slow:search=20ms", 200, OFFERS),
    ],
)
def test_a_tool_is_broken(proxied: Proxied, entry: str, status: int, found: Any) -> None:
    url, seen = proxied(entry)
    assert asked(f"{url}/search")[:2] == (status, found)
    (use,) = settled(seen, 1)
    name = entry.partition("=")[0]
    assert (use.case, use.tool, use.number, use.entry, use.applied) == ("c1", "search", 1, name, True)
    assert use.ok == (status == 200)


def test_a_stale_answer_says_so_as_caches_do(proxied: Proxied) -> None:
    url, _ = proxied("stale:search")
    _, found, headers = asked(f"{url}/search")
    assert found["items"][0]["at"] == "2025-10-26"
    assert headers["Warning"].startswith("110")


def test_a_timeout_leaves_the_agent_without_an_answer_until_it_gives_up(proxied: Proxied) -> None:
    url, seen = proxied("timeout:search")
    with pytest.raises((TimeoutError, urllib.error.URLError)):
        urllib.request.urlopen(f"{url}/search", timeout=0.2)  # noqa: S310
    (use,) = settled(seen, 1)
    assert (use.fault, use.ok, use.error) == ("timeout", False, "timeout")


def test_a_timeout_ends_the_connection_when_the_agent_waits_for_ever(proxied: Proxied) -> None:
    url, _ = proxied("timeout:search", hold_s=0.05)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError, urllib.error.URLError)):
        urllib.request.urlopen(f"{url}/search", timeout=60)  # noqa: S310


def test_what_cannot_be_broken_is_handed_on_and_not_counted_as_broken(proxied: Proxied) -> None:
    url, seen = proxied("empty:*")
    assert asked(f"{url}/picture")[1] == b"\x89PNG\xff"
    assert asked(f"{url}/nothing")[1] == {"error": "no such tool"}
    assert [(use.fault, use.applied) for use in settled(seen, 2)] == [("empty", False)] * 2


def test_each_case_has_its_own_numbers_and_a_rerun_the_same_faults(proxied: Proxied) -> None:
    url, _ = proxied("error:search=0.5")

    def run(name: str) -> list[int]:
        return [asked(f"{url}/search", case=case, run=name)[0] for case in ("c1", "c2") for _ in range(6)]

    first = run("r1")
    assert {200, 500} == set(first)
    assert run("r2") == first
    assert first[:6] != first[6:]


def test_a_redirect_to_the_upstream_leads_back_through_the_proxy(proxied: Proxied) -> None:
    url, seen = proxied("empty:search")
    assert asked(f"{url}/moved")[1] == {"items": [], "total": 0}
    assert [use.tool for use in settled(seen, 2)] == ["moved", "search"]


def test_a_request_for_another_host_goes_to_the_upstream_all_the_same(proxied: Proxied) -> None:
    """Else a client of the proxy could reach every host that the proxy reaches."""
    url, _ = proxied("error:mail")
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as agent:
        agent.sendall(b"GET http://192.0.2.1/search HTTP/1.1\r\nHost: 192.0.2.1\r\nConnection: close\r\n\r\n")
        answer = agent.makefile("rb").read()
    assert b" 200 " in answer.split(b"\r\n")[0]


@pytest.mark.parametrize("length", [b"-1", b"x", b"99999999999"])
def test_a_request_without_a_usable_length_is_refused(proxied: Proxied, length: bytes) -> None:
    url, _ = proxied("error:mail")
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as agent:
        agent.sendall(b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\n")
        assert b" 400 " in agent.makefile("rb").readline()


def test_a_chunked_request_is_handed_on_whole(proxied: Proxied) -> None:
    url, _ = proxied("error:mail")
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.request("POST", "/orders", iter([b"ab", b"cd"]), encode_chunked=True)
    assert json.loads(connection.getresponse().read())["body"] == "abcd"
    connection.close()


def test_an_upstream_that_does_not_answer_is_a_bad_gateway() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    seen: list[SeenUse] = []
    proxy = FaultProxy(Upstream.parse(f"http://127.0.0.1:{port}"), Injections.parse("empty:x"), seen.append)
    with serving(proxy):
        assert asked(f"{proxy.url}/search")[0] == 502
        assert settled(seen, 1)[0].error == "HTTP 502"


@pytest.mark.parametrize(
    "url", ["", "localhost:8000", "ftp://x", "http://", "http://x:y", "http://u:p@x", "http://x/?a=1"]
)
def test_an_upstream_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--upstream: must be a URL of http or https"):
        Upstream.parse(url)
