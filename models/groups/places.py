"""With which groups the rows of a message count."""

from __future__ import annotations

import numpy as np

from models.arrays import I32, I64
from models.groups.members import Route
from models.stats.lateness import IN_TIME


class Places:
    """With which groups the rows of a message count: by their code, and the hour of the call where that matters."""

    def __init__(self, routes: list[Route], late: tuple[int, ...], segments: tuple[str, ...]) -> None:
        """Codes index `routes`, and `late` and `segments` where these are not empty."""
        self.names = [route.groups[0] for route in routes]
        self.late = [*late] or [IN_TIME] * len(routes)
        """How late the calls of a place came: see `models.stats.lateness`."""
        self.segments = [*segments]
        """Of the calls of a place; empty where none has any."""
        self._later: list[tuple[int, I32, I32]] = []
        """Of a code that counts elsewhere from some hour on: the hours, and the places among `names`."""
        for code, route in enumerate(routes):
            if len(route.hours) > 1:
                first = len(self.names)
                self.names += route.groups[1:]
                self.late += [self.late[code]] * (len(self.names) - first)
                self.segments += self.segments[code : code + 1] * (len(self.names) - first)
                places = [code, *range(first, len(self.names))]
                self._later.append((code, np.array(route.hours, np.int32), np.array(places, np.int32)))

    def of(self, code: I32, hour: I32 | I64) -> I32:
        """The places among `names`, of rows."""
        if not self._later:
            return code
        places = code.copy()
        for one, hours, to in self._later:
            (rows,) = (code == one).nonzero()
            places[rows] = to[np.searchsorted(hours, hour[rows], "right") - 1]
        return places
