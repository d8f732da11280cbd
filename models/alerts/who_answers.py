"""Whether those who answer have changed along with the rate: then the rates before and since are not of like calls."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from aftercall.vocabulary import RESERVED_SOURCES
from models.alerts.leaf_answers import Answers
from models.alerts.sentences import answered_text, sources_text
from models.arrays import F64
from models.stats.chi_square import chi_square_quantile

_FEWEST: Final = 30.0
"""Calls, or verdicts, on both sides."""
FACTOR: Final = 1.25
"""By how much the share of answered calls must have moved, up or down."""
_Z: Final = 3.0
_OVERDISPERSION: Final = 2.0
"""Of answers in time: people come and go."""
MIX: Final = 0.15
"""Share of the verdicts that must have moved from some sources to others."""
_SURE: Final = 0.999


def who_answers(before: Answers, since: Answers, mix: tuple[F64, F64, F64, F64, list[str]]) -> str | None:
    """The sentence on what moved, None where nothing did.

    Args:
        before: calls and verdicts before the change.
        since: since it.
        mix: failures and trials before, failures and trials since, per slice; and the source of each.
    """
    return _share(before, since) or _mix(*mix)


def _share(before: Answers, since: Answers) -> str | None:
    if min(before.calls, since.calls) < _FEWEST or before.answered < _FEWEST:
        return None
    shares = before.answered / before.calls, since.answered / since.calls
    least = max(since.answered, 0.5) / since.calls
    moved = abs(math.log(least / shares[0]))
    deviation = math.sqrt(_OVERDISPERSION * (1 / before.answered + 1 / max(since.answered, 1.0)))
    if moved < max(math.log(FACTOR), _Z * deviation):
        return None
    return answered_text(*shares)


def _mix(f0: F64, n0: F64, f1: F64, n1: F64, sources: list[str]) -> str | None:
    names, place = np.unique(np.array(sources, np.object_), return_inverse=True)
    failures0, trials0, failures1, trials1 = (np.bincount(place.ravel(), part, len(names)) for part in (f0, n0, f1, n1))
    failed, tried = failures0 + failures1, trials0 + trials1
    # A source of one verdict alone speaks more often where that verdict is: that is the change itself.
    judges = (failed > 0) & (failed < tried) & ~np.isin(names, list(RESERVED_SOURCES))
    before, since = trials0[judges], trials1[judges]
    if len(before) < 2 or min(before.sum(), since.sum()) < _FEWEST:
        return None
    shares = before / before.sum(), since / since.sum()
    apart = np.abs(shares[1] - shares[0])
    expected = (before + since) * since.sum() / (before + since).sum()
    chi_square = float(((since - expected) ** 2 / expected).sum() * (1 + since.sum() / before.sum())) / _OVERDISPERSION
    if apart.sum() / 2 < MIX or chi_square < chi_square_quantile(_SURE, len(before) - 1):
        return None
    most = int(np.argmax(apart))
    return sources_text(str(names[judges][most]), float(shares[0][most]), float(shares[1][most]))
