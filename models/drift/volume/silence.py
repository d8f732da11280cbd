"""Long silences in proportion to those seen: until a profile of the week is known, there is no more to go by.

A silence counts where it is more than `TIMES` as long as the longest seen before, and at least `MIN_HOURS`; the watch
has been heard for a day, `MIN_SEEN` events have come, and `MIN_DUE` were due since the last one. Where no hour has been
empty, no more counts as due in an hour than came in the poorest one: it may be night. Nights of 16 hours then need a
silence of over 128, so that the first weekend says nothing; an automatic source is missed after two or three. No
promise is made.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from aftercall.times import HOURS_PER_DAY
from models.arrays import F64, I64, Bools

TIMES: Final = 8
MIN_HOURS: Final = 2
MIN_SEEN: Final = 100
MIN_DUE: Final = 30.0


class Quiet:
    """Silences of many watches, 40 bytes each.

    Attributes:
        last: hour of the last event, shape (watches,).
        due: events expected since then.
    """

    def __init__(self, state: dict[str, Any] | None = None) -> None:
        """Start without watches, or from a `state()`."""
        none = np.zeros(0)
        self._columns = dict.fromkeys(("began", "last", "longest", "seen", "due", "poorest"), none)
        if state is not None:
            self._columns = state

    @property
    def last(self) -> F64:
        """Hour of the last event, shape (watches,)."""
        return self._columns["last"]

    @property
    def seen(self) -> F64:
        """Events so far, shape (watches,)."""
        return self._columns["seen"]

    @property
    def due(self) -> F64:
        """Events expected since the last, shape (watches,)."""
        return self._columns["due"]

    def state(self) -> dict[str, Any]:
        """Plain arrays; not a copy."""
        return self._columns

    def add(self, count: int, hour: int) -> None:
        """`count` new watches whose first event lies in `hour`."""
        for name, column in self._columns.items():
            start = float(hour) if name in {"began", "last"} else 0.0
            self._columns[name] = np.concatenate((column, np.full(count, start)))

    def keep(self, kept: Bools) -> None:
        """Forget the others."""
        self._columns = {name: column[kept] for name, column in self._columns.items()}

    def relearn(self, rows: I64, hour: int) -> None:
        """Start these afresh."""
        for name, column in self._columns.items():
            column[rows] = float(hour) if name in {"began", "last"} else 0.0

    def step(self, hour: int, events: F64, due: F64, learning: Bools) -> Bools:
        """One hour of all watches; returns who has been silent for too long."""
        c = self._columns
        heard = events > 0
        gap = hour - c["last"]
        c["longest"] = np.where(heard & learning, np.maximum(c["longest"], gap - 1), c["longest"])
        c["last"] = np.where(heard, float(hour), c["last"])
        c["seen"] = c["seen"] + events
        # The hour in which a watch began was not heard whole.
        full = heard & learning & (hour > c["began"])
        poorest = np.where(c["poorest"] > 0, np.minimum(c["poorest"], events), events)
        c["poorest"] = np.where(full, poorest, c["poorest"])
        most = np.where((c["longest"] == 0) & (c["poorest"] > 0), c["poorest"], np.inf)
        c["due"] = np.where(heard, 0.0, c["due"] + np.minimum(due, most))
        old = hour - c["began"] >= HOURS_PER_DAY
        enough = old & (c["seen"] >= MIN_SEEN) & (c["due"] >= MIN_DUE)
        silent: Bools = ~heard & enough & (gap > TIMES * c["longest"]) & (gap >= MIN_HOURS)
        return silent
