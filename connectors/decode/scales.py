"""Words the warning about scores on a scale that no setting names: one star must not silently be a success."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from aftercall.printable import printable
from aftercall.vocabulary import DEFAULT_PASS_AT
from connectors.batch import I64, Outcomes, Warned

SCORE_SCALE: Final = "score_scale"
_MOST: Final = 100
"""Sources of one batch that are named."""
_USUAL: Final = (0.0, 1.0)
_TOPS: Final = (5, 10, 100)
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


def off_scale(
    outcomes: Outcomes, sources: Sequence[str], bounds: Mapping[str, tuple[float, float] | None]
) -> list[Warned]:
    """A warning for each source whose scores leave 0 to 1, or the scale that its settings name.

    Args:
        outcomes: accepted ones. Where all scores are usual, two comparisons of a column.
        sources: their names.
        bounds: of sources that have settings, their scale, or None: then any score may be meant.
    """
    score = outcomes.score
    unusual = (score < _USUAL[0]) | (score > _USUAL[1])
    if not unusual.any() and not any(bounds.values()):
        return []
    warnings: list[Warned] = []
    for code, source in enumerate(sources):
        limits = bounds.get(source, _USUAL)
        if limits is None or len(warnings) == _MOST:
            continue
        (rows,) = ((outcomes.source == code) & ((score < limits[0]) | (score > limits[1]))).nonzero()
        if len(rows):
            warnings.append(_warned(outcomes, rows, source, None if source not in bounds else limits))
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
            f"source '{printable(source)}' has scores outside 0 to 1 ({found}) and no settings, so "
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
