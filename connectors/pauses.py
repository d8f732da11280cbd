"""Keeps what the pipeline waits for now, and since when.

A pause shows in three places at once: a log line where it begins and one where it is over, a reason of `/readyz`, and
the metric of its cause. A cause may concern several things at the same time, such as partitions; they share its lines.
A cause that comes and goes is one pause: it is over once it has not come back for `LINGER_S`, and only then do the log,
`/readyz` and the metric say so, all at the same time. That bounds the log too.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Final, NamedTuple

from aftercall.printable import printable
from connectors.metrics import METRICS, Metrics

LINGER_S: Final = 5.0
"""A pause is over once its cause has not come back for this time."""
_log = logging.getLogger("aftercall.run")


class Cause(NamedTuple):
    """Why the pipeline may wait: a name that stays, and its meaning. A `shared` cause is logged by process 0 alone."""

    name: str
    meaning: str
    shared: bool = False


CAUSES: Final = (
    Cause("ahead", "A partition is more than `join.max_lead` ahead of the slowest one, and waits for it"),
    Cause("broker", "No broker answers", shared=True),
    Cause("claim", "The claim on the topics is not taken yet, or was not confirmed for 15 s", shared=True),
    Cause("host_clock", "This host's clock is more than `join.max_future_skew` behind the broker's", shared=True),
    Cause("topic_missing", "The broker does not list an input topic that is read", shared=True),
    Cause("unacknowledged", "The broker has not acknowledged outputs for 10 s"),
    Cause("waiting_outcomes", "As many outcomes as `join.max_waiting` allows wait for calls that are still to be read"),
)
"""All causes. docs/operations.md has them too, and tests/kafka/test_pauses.py a row for each."""


@dataclass
class _Pause:
    """A pause of one cause; `subjects` maps what it is about now to a sentence, and is empty while it lingers."""

    began_s: float
    subjects: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    sentence: str = ""
    ended_s: float | None = None
    lingers: bool = True


class Pauses:
    """The pauses of one process. Any thread may call its methods; none takes longer than writing a log line."""

    def __init__(
        self,
        metrics: Metrics = METRICS,
        monotonic: Callable[[], float] = time.monotonic,
        linger_s: float = LINGER_S,
    ) -> None:
        """`metrics` shows the pauses, `monotonic` gives seconds."""
        self._monotonic, self._linger_s = monotonic, linger_s
        self._causes = {cause.name: cause for cause in CAUSES}
        self._pauses: dict[str, _Pause] = {}
        self._process = 0
        self._lock = Lock()
        for name in self._causes:
            metrics.pause(name, partial(self.is_paused, name))

    def process(self, number: int) -> None:
        """Set which process of the cluster this is; called once, at the start."""
        self._process = number

    def begin(self, cause: str, subject: str, sentence: str) -> None:
        """Record that `subject` waits. While it does, another call only replaces its sentence.

        Args:
            cause: a name in `CAUSES`.
            subject: what waits, such as `agent.calls/3`; one cause may concern several.
            sentence: what waits for what, and what to do, without a full stop; shown escaped.
        """
        known = self._causes[cause]
        with self._lock:
            self._settle()
            is_new = cause not in self._pauses
            pause = self._pauses.setdefault(cause, _Pause(self._monotonic()))
            pause.subjects[subject] = pause.sentence = printable(sentence)
            pause.seen.add(subject)
            pause.ended_s = None
            if is_new and self._logs(known):
                _log.warning("paused (%s): %s", cause, pause.sentence, extra={"cause": cause})

    def end(self, cause: str, subject: str, *, at_once: bool = False) -> None:
        """Record that `subject` no longer waits for `cause`; does nothing if it did not.

        Args:
            cause: as in `begin`.
            subject: as in `begin`.
            at_once: where it cannot come back, its pause need not linger.
        """
        with self._lock:
            pause = self._pauses.get(cause)
            if pause is None or pause.subjects.pop(subject, None) is None:
                return
            if not pause.subjects:
                pause.ended_s = self._monotonic()
                pause.lingers = not at_once
            self._settle()

    def settle(self) -> None:
        """Close the pauses that are over; called about once a second, so that their end is logged in time."""
        with self._lock:
            self._settle()

    def is_paused(self, cause: str) -> bool:
        """Whether a pause of this cause is going on."""
        with self._lock:
            self._settle()
            return cause in self._pauses

    def names(self) -> list[str]:
        """The causes of the pauses that are going on, in order."""
        with self._lock:
            self._settle()
            return sorted(self._pauses)

    def reasons(self) -> list[str]:
        """A sentence for each cause of a pause that is going on, with how long it has lasted."""
        with self._lock:
            self._settle()
            now = self._monotonic()
            return [_reason(cause, pause, now) for cause, pause in sorted(self._pauses.items())]

    def _settle(self) -> None:
        """Close the pauses that are over. They are logged under the lock: no look at them may come in between."""
        for cause in [cause for cause, pause in self._pauses.items() if self._is_over(pause)]:
            pause = self._pauses.pop(cause)
            if self._logs(self._causes[cause]):
                took_s = (pause.ended_s or pause.began_s) - pause.began_s
                places = f"; it concerned {len(pause.seen)} places" if len(pause.seen) > 1 else ""
                _log.warning("resumed (%s), after %.0f s%s", cause, took_s, places, extra={"cause": cause})

    def _is_over(self, pause: _Pause) -> bool:
        linger_s = self._linger_s if pause.lingers else 0.0
        return pause.ended_s is not None and self._monotonic() - pause.ended_s >= linger_s

    def _logs(self, cause: Cause) -> bool:
        return self._process == 0 or not cause.shared


def _reason(cause: str, pause: _Pause, now: float) -> str:
    sentence = next(iter(pause.subjects.values()), pause.sentence)
    more = f", and {len(pause.subjects) - 1} more" if len(pause.subjects) > 1 else ""
    return f"{cause}: {sentence}{more} (for {now - pause.began_s:.0f} s)"


PAUSES: Final = Pauses()
"""The pauses of this process."""
