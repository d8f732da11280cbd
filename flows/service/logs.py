"""Configures logging on standard error: JSON lines, or text if standard error is a terminal.

Records of `logging` and of `structlog` get the same form: `time` (UTC), `level`, `event`, `process`, `logger`, then
their other fields. Fields named like a payload or a secret are left out, but the first line of defence is not to log
such values: payloads belong in dead letters.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from contextlib import nullcontext, suppress
from typing import Any, Final, TextIO

import structlog

from aftercall.printable import printable

BROKER: Final = "aftercall.broker"
"""The logger for the broker's client: `Consumer(config, logger=logging.getLogger(BROKER))`."""

_PRIVATE: Final = frozenset({"input", "output", "payload", "raw", "value", "record", "environ"})
_SECRET: Final = re.compile(r"passw|secret|credential|jaas|sasl|authorization|(^|[._-])(token|key)$", re.IGNORECASE)
_OURS: Final = ("aftercall", "connectors", "flows")
_FIRST: Final = ("time", "level", "event", "process", "logger")
_LONGEST: Final = 2_000
_ERASE: Final = "\r\x1b[K"


def configure(level: str = "info", process: int = 0, *, terminal: bool | None = None) -> None:
    """Route all logs of this process; may be called again.

    Args:
        level: least level of our loggers (`aftercall.*` and those named after a module of ours): debug, info, warning
            or error. Other loggers log warnings and errors.
        process: number of the process in the cluster, in every line.
        terminal: write text instead of JSON; None: only if standard error is a terminal.
    """
    as_text = sys.stderr.isatty() if terminal is None else terminal

    def with_process(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        with_process,
        _without_private,
    ]
    if as_text:
        last: list[Any] = [
            _printable,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, timestamp_key="time"),
        ]
    else:
        last = [structlog.processors.format_exc_info, _ordered, structlog.processors.JSONRenderer()]
    handler = _StandardError(has_status=as_text and has_status())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, _StandardError)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in _OURS:
        logging.getLogger(name).setLevel(level.upper())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def has_status() -> bool:
    """Whether standard error is a terminal on which a line can be updated in place, and the user wants that."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def show_status(text: str) -> None:
    """Show a line below the log, in place of the one before; an empty text removes it.

    Does nothing where standard error has no place for it (`has_status`), or before `configure`. The line is cut to the
    width of the terminal, as one that wraps cannot be erased.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _StandardError):
            handler.show(text)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to the current `sys.stderr`, which a run may replace (`flows.runtime.engine`).

    With a status line each log line first erases it, also the line of another process of the run.
    """

    def __init__(self, *, has_status: bool) -> None:
        super().__init__(sys.stderr)
        self._has_status, self._status = has_status, ""

    def show(self, text: str) -> None:
        """Show the status line `text`."""
        if not self._has_status:
            return
        with suppress(OSError, ValueError):  # the stream may just be closed or replaced
            width = os.get_terminal_size(self.stream.fileno()).columns - 1
            with self.lock or nullcontext():
                self._status = printable(text)[: max(0, width)]
                self._write(f"{_ERASE}{self._status}")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log line, and the status line again below it. Called with the handler's lock."""
        if not self._has_status:
            super().emit(record)
            return
        try:
            # In one piece: another process may show its status at any moment.
            self._write(f"{_ERASE}{self.format(record)}{self.terminator}{self._status}")
        except Exception:  # noqa: BLE001 - as the base class: no log line may end a run
            self.handleError(record)

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, _stream: TextIO) -> None:
        """Ignore the value: the base class sets it, but the stream is always `sys.stderr`."""


def _without_private(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace fields that may be a payload or a secret, and cut long texts."""
    for key in ("message", "asctime"):  # left on the record by another handler's formatter; `event` has the message
        event.pop(key, None)
    for key, value in event.items():
        if key == "event" or key in _FIRST or key.startswith("_"):
            continue
        if key.lower() in _PRIVATE or isinstance(value, bytes):
            event[key] = "[left out]"
        elif _SECRET.search(key):
            event[key] = "***"
    for key, value in event.items():
        if isinstance(value, str) and len(value) > _LONGEST:
            event[key] = f"{value[:_LONGEST]} [{len(value) - _LONGEST} more characters]"
    return event


def _printable(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape control codes, line by line: a terminal would execute them."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = "\n".join(map(printable, value.split("\n")))
    return event


def _ordered(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """Put the fields that every line has first."""
    first = {key: event[key] for key in _FIRST if key in event}
    return {**first, **{key: value for key, value in event.items() if key not in first}}
