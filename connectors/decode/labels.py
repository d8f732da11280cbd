"""Words the warning about labels that were left out of `attrs`."""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from aftercall.events import MAX_TEXT
from aftercall.printable import printable
from aftercall.times import parse_time
from connectors.batch import Warned

DROPPED_LABEL: Final = "dropped_label"
_SUBJECTS: Final = ("calls", "outcomes")
_SHOWN: Final = 60

LeftOut = dict[int, tuple[int, str, list[str]]]
"""By place in the batch: the kind of a record, its time, and the names of the labels that it has lost."""


def left_out_of(left_out: LeftOut, refused: Container[int]) -> list[Warned]:
    """One warning for each kind of records; those that are `refused` all the same are in none."""
    warnings = []
    for kind, subject in enumerate(_SUBJECTS):
        lost = [(at, names) for row, (of, at, names) in left_out.items() if of == kind and row not in refused]
        if lost:
            times = [parse_time(at) for at, _ in lost]
            detail = (
                f"attrs of {subject} had labels that are nested or over {MAX_TEXT} characters, first "
                f"'{printable(lost[0][1][0][:_SHOWN])}': they were left out (make each one text or number)"
            )
            count = sum(len(names) for _, names in lost)
            warnings.append(Warned(DROPPED_LABEL, subject, count, min(times), max(times), detail))
    return warnings
