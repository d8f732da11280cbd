"""Words the warning about scores on a scale that no setting names: one star must not silently be a success."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from aftercall.printable import printable
from aftercall.vocabulary import DEFAULT_PASS_AT
from connectors.batch import I64, Outcomes, Warned

SCORE_SCALE: Final = "score_scale"
_MOST: Final = 100
"""Sources of one batch that are named."""
_USUAL: Final = (0.0, 1.0)
_ANY: Final = (-math.inf, math.inf)
_TOPS: Final = (5, 10, 100)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def off_scale(
    outcomes: Outcomes, sources: Sequence[str], bounds: Mapping[str, tuple[float, float] | None]
) -> list[Warned]:
    """A warning for each source whose scores leave 0 to 1, or the scale that its settings name.

    Args:
        outcomes: accepted ones. Where all scores are usual, two comparisons of a column.
        sources: their names.
        bounds: of sources with settings for scores, their scale, or None: then any score may be meant.
    """
    score = outcomes.score
    if not ((score < _USUAL[0]) | (score > _USUAL[1])).any() and not any(bounds.values()):
        return []
    limits = [bounds.get(source, _USUAL) or _ANY for source in sources] or [_ANY]
    low, high = np.array(limits)[outcomes.source].T
    (off,) = ((score < low) | (score > high)).nonzero()
    codes, first = np.unique(outcomes.source[off], return_index=True)
    warnings = []
    for code in codes[np.argsort(first)].tolist()[:_MOST]:
        rows = off[outcomes.source[off] == code]
        warnings.append(_warned(outcomes, rows, sources[code], bounds.get(sources[code])))
    return warnings


def _warned(outcomes: Outcomes, rows: I64, source: str, scale: tuple[float, float] | None) -> Warned:
    score, at = outcomes.score[rows], outcomes.at[rows]
    low, high = float(score.min()), float(score.max())
    found = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    if scale is None:
        least, most = _guessed(low, high)
        pass_at = least + DEFAULT_PASS_AT * (most - least)
        pass_at = math.ceil(pass_at) if most - least >= 2 else pass_at
        name = source if _BARE.fullmatch(source) else json.dumps(source, ensure_ascii=False)
        detail = (
            f"source '{printable(source)}' has scores outside 0 to 1 ({found}) and no bound for them is set, so "
            f"{DEFAULT_PASS_AT} is a success (set its scale, such as [verdict.source.{printable(name)}] "
            f"scale = [{least:g}, {most:g}], pass_at = {pass_at:g})"
        )
    else:
        detail = (
            f"source '{printable(source)}' has scores ({found}) outside its scale of {scale[0]:g} to {scale[1]:g} "
            "that count as its ends (correct its scale)"
        )
    return Warned(SCORE_SCALE, source, len(rows), int(at.min()), int(at.max()), detail)


def _guessed(low: float, high: float) -> tuple[float, float]:
    """A scale that these scores may be on: of stars, of grades, of percent, or else just wide enough."""
    if low < 0:
        return -max(math.ceil(-low), math.ceil(high)), max(math.ceil(-low), math.ceil(high))
    most = next((top for top in _TOPS if high <= top), math.ceil(high))
    return (1 if most == _TOPS[0] and low >= 1 else 0), most
