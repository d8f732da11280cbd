"""Under which segment calls are counted: a group with a segment has a code of its own in the shard's table of groups.

So whatever moves the counts of a call moves those of its segment, and calls without one cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from aftercall.vocabulary import OTHER
from models.arrays import I32, Objects
from models.messages import Group

Segments = Mapping[str, frozenset[str]]
"""By task type, the segments whose rates are kept. All others of it count as one, `OTHER`."""
NONE_DECLARED: Final[Segments] = {}


class Stratum(NamedTuple):
    """Calls of a group with a segment. A plain group stands for its calls without one."""

    group: Group
    segment: str


def group_of(name: Group | Stratum) -> Group:
    """The group of calls that are counted under a name."""
    return name.group if isinstance(name, Stratum) else name


def segment_of(name: Group | Stratum) -> str:
    """The segment of calls that are counted under a name; empty for none."""
    return name.segment if isinstance(name, Stratum) else ""


def counted_under(
    groups: list[Group], codes: I32, records: Objects, segments: Segments
) -> tuple[list[Group | Stratum], I32]:
    """The names under which calls are counted, and the code of each call.

    Args:
        groups: of a batch.
        codes: the group of each call.
        records: the calls.
        segments: those that are declared; of calls of other task types nothing is read. O(calls of declared ones).
    """
    names: list[Group | Stratum] = [*groups]
    declared = [segments.get(group[0]) for group in groups]
    (chosen,) = np.array([of_task is not None for of_task in declared], np.bool_)[codes].nonzero()
    new, places = codes.copy(), dict[tuple[int, str], int]()
    for at, code, record in zip(chosen.tolist(), codes[chosen].tolist(), records[chosen].tolist(), strict=True):
        of_task, segment = declared[code], record.segment
        if of_task is None or not segment:
            continue
        counted = segment if segment in of_task else OTHER
        place = places.get((code, counted))
        if place is None:
            place = places[code, counted] = len(names)
            names.append(Stratum(groups[code], counted))
        new[at] = place
    return names, new
