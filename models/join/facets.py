"""Keeps the facets of held calls, and the trials of one batch by them: see `aftercall.facets`.

They are those of a call's first record, so that a later one moves no trial.
"""

from __future__ import annotations

import numpy as np

from models.arrays import I32
from models.join.rare_column import RareColumn, RareTrials
from models.side_messages import NO_FACETS, FacetTrials


class HeldFacets(RareColumn):
    """The facets of held calls, by row; 4 bytes each."""

    NAME, DTYPE = "facets", np.uint32


class FacetRows(RareTrials):
    """Trials of one batch by facets."""

    DTYPE = np.uint32

    def table(self) -> tuple[I32, FacetTrials]:
        """The calls' hours, and the rows; these may repeat."""
        if not (columns := self.columns()):
            return NO_FACETS.minute, NO_FACETS
        code, minute, hour, *rest = columns
        return hour, FacetTrials(code, minute, *rest)
