"""`aftercall eval proxy` as a process: it prints its address, breaks tools, and ends with a signal and a summary."""

from __future__ import annotations

import json
import signal
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from aftercall.evals.faults.uses import read_uses
from harness.waiting import HANG_S, until
from system.forks import Fork
from system.runs import environment


class Tools(BaseHTTPRequestHandler):
    """What stands behind the proxy."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"[1, 2]")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Tools) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_it_breaks_tools_until_a_signal_and_says_what_it_did(upstream: str, tmp_path: Path) -> None:
    out, err, log = tmp_path / "out", tmp_path / "err", tmp_path / "log.jsonl"
    options = ("--upstream", upstream, "--inject", "empty:search,error:crm", "--log", str(log))
    proxy = Fork(("aftercall", "eval", "proxy", *options), cwd=tmp_path, env=environment(), out=out, err=err)
    until(lambda: out.read_text().endswith("\n"), err.read_text)
    address = out.read_text().strip()
    with urllib.request.urlopen(f"{address}/search", timeout=HANG_S) as answer:  # noqa: S310
        assert json.loads(answer.read()) == []
    proxy.send_signal(signal.SIGTERM)
    assert proxy.wait() == 0
    assert [(use.tool, use.fault, use.applied) for use in read_uses(log)[0]] == [("search", "empty", True)]
    assert err.read_text().splitlines() == [
        "aftercall: empty:search: broke 1 call",
        "aftercall: error:crm: no such tool was called (is the name right?)",
    ]
