"""Keeps the units of evidence of held calls, and the trials of one batch by unit.

Calls of one unit may be judged at one stroke: those of a session, or a call's children. A unit is the hash of the
`session_id`, else of the `parent_call_id`, of a call's first record; 0 where it has neither, as the call is one alone
(docs/decisions/0026-units-of-evidence.md).
"""

from __future__ import annotations

import numpy as np

from models.arrays import I32
from models.join.rare_column import RareColumn, RareTrials
from models.messages import NO_UNITS, UnitTrials


class HeldUnits(RareColumn):
    """The units of held calls, by row; 8 bytes each."""

    NAME, DTYPE = "units", np.uint64


class UnitRows(RareTrials):
    """Trials of one batch by unit."""

    DTYPE = np.uint64

    def table(self) -> tuple[I32, UnitTrials]:
        """The calls' hours, and the rows; these may repeat."""
        if not (columns := self.columns()):
            return NO_UNITS.minute, NO_UNITS
        code, minute, hour, *rest = columns
        return hour, UnitTrials(code, minute, *rest)
