"""A pytest plugin: what tests start can be interrupted, also where the shell that started pytest in the background sees
to it that pytest cannot.
"""

from __future__ import annotations

import signal

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A signal that is ignored stays so in children, and Python leaves it alone there."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
