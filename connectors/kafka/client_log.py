"""Sends librdkafka's log lines to the logger `aftercall.broker`, at a limited rate.

By itself, librdkafka writes them to standard error, up to 20 times a second.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any, Final

from connectors.kafka.cluster import hide_secrets

EVERY_S: Final = 10.0
"""Seconds in which a line is logged at most once; lines that differ only in numbers count as the same."""
_MOST = 200
_THREAD = re.compile(r"^\[thrd:[^\]]*\]+(:\d+(/\w+)?\])?: ")
_NUMBERS = re.compile(r"\d+")
_log = logging.getLogger("aftercall.broker")
# Where logging is not set up, as in `aftercall check`, Python would print warnings.
logging.getLogger("aftercall").addHandler(logging.NullHandler())


class ClientLog:
    """The entry `logger` of a client's configuration: the client calls `log`, from within `poll` and `flush`.

    Lost connections are logged at level DEBUG: the client reports each attempt, and the code that waits for the broker
    logs the outage.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._logged_s: dict[str, float] = {}
        self.reason = ""
        """The newest error of a connection."""

    def log(self, level: int, form: str, *parts: Any) -> None:
        """Log a line, as `logging.Logger.log`; librdkafka's parts are the facility, the client's name and the text."""
        facility = str(parts[0]) if parts else ""
        text = _THREAD.sub("", str(parts[-1])) if parts else form
        if facility == "CONFWARN" and "will be ignored" in text:
            return  # every kind of client gets all settings
        text = hide_secrets(text)
        if facility in {"FAIL", "ERROR"}:
            level = logging.DEBUG
            self.reason = text
        now, alike = self._monotonic(), _NUMBERS.sub("", facility + text)
        if now - self._logged_s.get(alike, -EVERY_S) < EVERY_S:
            return
        if len(self._logged_s) >= _MOST:
            self._logged_s.clear()
        self._logged_s[alike] = now
        _log.log(min(level, logging.WARNING), "%s: %s", facility, text)
