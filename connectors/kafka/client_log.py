"""What librdkafka logs, led away from standard error and into the log `aftercall.broker`, and not 20 times a second."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any, Final

from connectors.kafka.cluster import hide_secrets

EVERY_S: Final = 10.0
"""The same line comes at most this often."""
_MOST = 200
_THREAD = re.compile(r"^\[thrd:[^\]]*\]+(:\d+(/\w+)?\])?: ")
_NUMBERS = re.compile(r"\d+")
_log = logging.getLogger("aftercall.broker")
# Where nobody has set up logging, such as in `aftercall check`, Python would print warnings.
logging.getLogger("aftercall").addHandler(logging.NullHandler())


class ClientLog:
    """Goes into a client's configuration as `logger`: the client calls `log`, from within `poll` and `flush`.

    Lost connections come at level DEBUG: the client tells of each attempt, whoever waits says so in the log himself.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told: dict[str, float] = {}
        self.reason = ""
        """The newest complaint about a connection."""

    def log(self, level: int, form: str, *parts: Any) -> None:
        """As `logging.Logger.log`; librdkafka's parts are the facility, the client's name and the text."""
        facility = str(parts[0]) if parts else ""
        text = _THREAD.sub("", str(parts[-1])) if parts else form
        if facility == "CONFWARN" and "will be ignored" in text:
            return  # all settings are handed to all kinds of clients
        text = hide_secrets(text)
        if facility in {"FAIL", "ERROR"}:
            level = logging.DEBUG
            self.reason = text
        now, alike = self._monotonic(), _NUMBERS.sub("", facility + text)
        if now - self._told.get(alike, -EVERY_S) < EVERY_S:
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[alike] = now
        _log.log(min(level, logging.WARNING), "%s: %s", facility, text)
