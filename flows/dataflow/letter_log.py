"""Logs dead letters: a line a minute at most, with counts by reason and the first one as an example."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from aftercall.printable import printable
from aftercall.records import DeadLetter

EVERY_S: Final = 60.0
"""Seconds between two lines, at least."""
_LONGEST: Final = 120
_log = logging.getLogger("aftercall.dead_letters")


class LetterLog:
    """The dead letters of one process since its last line. Any thread may call its methods."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` gives seconds."""
        self._monotonic = monotonic
        self._counts = Counter[str]()
        self._example = ""
        self._logged_s: float | None = None
        self._lock = Lock()

    def add(self, letter: DeadLetter) -> None:
        """Count a dead letter. Costs a microsecond; writes nothing."""
        with self._lock:
            if not self._counts:
                self._example = example(letter)
            self._counts[letter.reason] += 1

    def log(self, *, at_once: bool = False) -> None:
        """Log a line if there were dead letters and the last line is a minute old; called once a second.

        `at_once`: at the end, however old the last line is.
        """
        with self._lock:
            now = self._monotonic()
            is_early = self._logged_s is not None and now - self._logged_s < EVERY_S and not at_once
            if not self._counts or is_early:
                return
            counts, self._counts, self._logged_s = self._counts, Counter(), now
            text = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
            first = self._example
        _log.warning("dead letters: %s; the first: %s", text, first, extra={"reasons": dict(counts)})


def example(letter: DeadLetter) -> str:
    r"""Why a record was refused and where it is, without its payload: on one line, escaped and of bounded length."""
    detail = printable(letter.detail)
    cut = detail if len(detail) <= _LONGEST else f"{detail[:_LONGEST]}..."
    return f"{letter.reason} at {_place(letter.origin)}: {cut}"


def _place(origin: Any) -> str:
    if origin is None:
        return "an output"
    fields = origin.model_dump()
    if "file" in fields:
        return f"{printable(fields['file'])}:{fields['line']}"
    return f"{fields['topic']}/{fields['partition']}, offset {fields['offset']}"


LETTER_LOG: Final = LetterLog()
"""The dead letters of this process."""
