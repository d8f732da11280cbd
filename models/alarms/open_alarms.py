"""The open alarm of each series: a later alarm moves it again or ends it, and time frees the series."""

from __future__ import annotations

from typing import Any

from aftercall.records import Direction
from aftercall.times import to_datetime, to_us
from models.alarms.alarm import Alarm, OpenAlarm, Series
from models.alarms.digits import significant

Origin = tuple[float, ...]
"""Whatever a detector compares later alarms of a series with."""


class OpenAlarms:
    """Open alarms of a detector; about 300 bytes each. Emits nothing: `models.alerts` alone makes records."""

    def __init__(self, new_normal_after_us: int, state: dict[str, Any] | None = None) -> None:
        """Start empty, or with the `state()` of another instance.

        Args:
            new_normal_after_us: an alarm open this long no longer counts: its level has become normal.
            state: may hold whole records, as detectors wrote them when they still made some.
        """
        self._new_normal_after_us = new_normal_after_us
        self._open: dict[Series, OpenAlarm] = {}
        self._origin: dict[Series, Origin] = {}
        if state is not None:
            self._open = {series: _restored(plain) for series, plain in state["open"].items()}
            self._origin = dict(state["origin"])

    def state(self) -> dict[str, Any]:
        """Plain values."""
        plain = {series: _plain(held) for series, held in self._open.items()}
        # `count` numbered the records that detectors once made.
        return {"open": plain, "origin": self._origin, "count": {}}

    def origin(self, series: Series, direction: Direction) -> Origin | None:
        """The origin of the alarm that is open in `direction`; None where there is none."""
        held = self._open.get(series)
        return None if held is None or held.direction != direction else self._origin[series]

    def is_open(self, series: Series) -> bool:
        """Whether an alarm of a series is open."""
        return series in self._open

    def directions(self) -> list[tuple[Series, Direction]]:
        """The series with an open alarm, and where it points."""
        return [(series, held.direction) for series, held in self._open.items()]

    def add(self, alarm: Alarm, origin: Origin) -> Alarm:
        """Open, move or end the alarm of a series.

        Alarms due to be freed by `alarm.at` must have been freed before, by `expire`.

        Args:
            alarm: as the detector found it.
            origin: kept where the alarm is the first of its series.

        Returns:
            The alarm with its relation to the one that was open: `again`, or `ends`.
        """
        held = self._open.get(alarm.series)
        if held is None:
            opened = OpenAlarm(alarm.direction, alarm.at, alarm.baseline, alarm.current, alarm.promise is not None)
            self._open[alarm.series], self._origin[alarm.series] = opened, origin
            return alarm
        if held.direction == alarm.direction:
            self._open[alarm.series] = held._replace(baseline=alarm.baseline, current=alarm.current)
            return alarm._replace(again=True)
        self._free(alarm.series)
        return _recovery(alarm, held)

    def expire(self, until: int, series: Series | None = None) -> None:
        """Free the series (all, or this one) whose alarm has been open for the set time at `until` (microseconds)."""
        opened_by = until - self._new_normal_after_us
        for key in list(self._open) if series is None else [series]:
            held = self._open.get(key)
            if held is not None and held.opened_at <= opened_by:
                self._free(key)

    def _free(self, series: Series) -> None:
        del self._open[series]
        del self._origin[series]


def _recovery(alarm: Alarm, held: OpenAlarm) -> Alarm:
    """Measured from the baseline of the alarm that it ends, and promised as that was."""
    return alarm._replace(
        baseline=held.baseline,
        current=significant(alarm.current),
        effect_low=None,
        effect_high=None,
        promise=alarm.promise if held.promised else None,
        ends=held,
    )


def _plain(held: OpenAlarm) -> dict[str, Any]:
    return {**held._asdict(), "opened_at": to_datetime(held.opened_at)}


def _restored(plain: dict[str, Any]) -> OpenAlarm:
    # A record has its promise as a sentence.
    promised = plain["promised"] if "promised" in plain else plain["promise"] is not None
    return OpenAlarm(plain["direction"], to_us(plain["opened_at"]), plain["baseline"], plain["current"], promised)
