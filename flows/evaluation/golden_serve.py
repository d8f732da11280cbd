"""Runs golden sets at their hours, where there is no cron."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from aftercall.errors import UserError
from flows.evaluation.golden import GoldenNight, run_night
from flows.evaluation.nights import begins, next_begin, night_of
from flows.evaluation.own_output import prints_to_stderr
from flows.settings import Settings

LATE: Final = timedelta(hours=6)
"""So long after its begin a night that was missed is still run."""
_TICK_S: Final = 20.0
"""The wall clock is read so often: it may jump."""


def serve_nights(
    settings: Settings,
    show: Callable[[str], None],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    stop: threading.Event | None = None,
) -> None:
    """Run each golden set once a night, until SIGTERM or ctrl-C.

    A night that cannot be run (the agent's function is missing, a file is broken) is reported, and the next one is
    tried. One that is being run when it stops is resumed at the next start, or with `aftercall golden run`.

    Args:
        settings: with the golden sets.
        show: gets each line for people.
        now: the wall clock, in UTC.
        stop: set to stop.
    """
    ending = stop or _stopped_by_signals()
    tried: set[tuple[str, str]] = set()
    for name, golden in settings.golden.items():
        at = next_begin(now(), golden.begins_at, ZoneInfo(golden.timezone))
        show(f"{name}: next at {at:%Y-%m-%d %H:%M} UTC")
    while not ending.is_set():
        for name in due(settings, now(), tried):
            for line in _run(name, settings, now()):
                show(line)
            if ending.is_set():
                return
        ending.wait(_TICK_S)


def due(settings: Settings, now: datetime, tried: set[tuple[str, str]]) -> Iterator[str]:
    """The sets whose night has begun, at most `LATE` ago, and was not tried; notes that they are."""
    for name, golden in settings.golden.items():
        zone = ZoneInfo(golden.timezone)
        night = night_of(now, golden.begins_at, zone)
        begun = begins(night, golden.begins_at, zone)
        if begun <= now < begun + LATE and (name, night.isoformat()) not in tried:
            tried.add((name, night.isoformat()))
            yield name


def _run(name: str, settings: Settings, now: datetime) -> Iterator[str]:
    golden = settings.golden[name]
    zone = ZoneInfo(golden.timezone)
    try:
        with prints_to_stderr():
            found: GoldenNight | None = run_night(name, settings, night_of(now, golden.begins_at, zone))
    except (UserError, OSError) as wrong:
        yield f"{name}: {wrong}"
        return
    if found is not None:
        yield from found.lines()
    yield f"{name}: next at {next_begin(now, golden.begins_at, zone):%Y-%m-%d %H:%M} UTC"


def _stopped_by_signals() -> threading.Event:
    """An event that SIGTERM sets; a night that is being run is broken off, as by ctrl-C."""
    stop = threading.Event()

    def end(*_: object) -> None:
        stop.set()
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
    sys.stdout.flush()
    return stop
