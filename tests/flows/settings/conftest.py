"""What tests of settings share: an environment without any of ours."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("AFTERCALL_"):
            monkeypatch.delenv(name)
