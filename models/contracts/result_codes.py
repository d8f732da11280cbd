"""Numbers the four results of a rule."""

from __future__ import annotations

from typing import Final

import numpy as np

from aftercall.contracts.results import RESULTS
from models.arrays import I8, I64

PASS, FAIL, NOT_APPLICABLE, ERROR = range(len(RESULTS))
"""Codes of the four results, by their place in `RESULTS`."""
CODES: Final[dict[str, int]] = {result: code for code, result in enumerate(RESULTS)}
"""These, by result."""


def not_passed(codes: I8) -> tuple[I64, I64]:
    """Where calls did not pass: places of calls and of rules in `codes`, shape (calls, rules). Mostly few."""
    # Along one axis numpy counts them first, which is all there is to do where all pass.
    (places,) = (codes.ravel() != PASS).nonzero()
    call, rule = np.divmod(places, max(codes.shape[1], 1))
    return call, rule
