"""Routes of a test end with it: what a thread logs later would be in the log of the next one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from aftercall.routes import routes as module
from harness.waiting import HANG_S


@pytest.fixture(autouse=True)
def routes_end(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("aftercall.routes.reading._POLL_S", 0.05)
    yield
    for routes in list(module._ALIVE):
        routes.close(0)
    for thread in threading.enumerate():
        if thread.name == "aftercall-routes":
            thread.join(HANG_S)
