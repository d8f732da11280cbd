"""What is logged once in a process is logged once in each test."""

from __future__ import annotations

import pytest

from aftercall.emitter import log


@pytest.fixture(autouse=True)
def nothing_was_logged_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_said", set())
