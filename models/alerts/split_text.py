"""Says how much of a change a changed mix of traffic gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

NOTABLE_MIX: Final = 0.005
"""Points of a part of a change from which it is named."""


def split_text(parts: Sequence[dict[str, Any]]) -> str:
    """What a changed mix of traffic surely gives, in sentences; empty where it may be nothing, or is hardly anything.

    Args:
        parts: fields of `aftercall.records.SplitPart`.

    >>> mix = {"dimension": "segment", "points": -0.012, "low": -0.02, "high": -0.004}
    >>> split_text([mix | {"value": "long", "share_before": 0.12, "share_since": 0.4}])
    " Of this, -1.2 points (-2.0 to -0.4) are from a changed mix: 12% of the outcomes were of segment 'long', now 40%."
    """
    text = ""
    for one in parts:
        if one["dimension"] == "within" or one["low"] <= 0 <= one["high"] or abs(one["points"]) < NOTABLE_MIX:
            continue
        points = f"{100 * one['points']:+.1f} points ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
        what = one["dimension"].replace("_", " ")
        of = f"without a {what}" if one["value"] is None else f"of {what} '{one['value']}'"
        shares = f"{one['share_before']:.0%} of the outcomes were {of}, now {one['share_since']:.0%}"
        beside = "Of this" if one["dimension"] == "segment" else "Beside this"
        text += f" {beside}, {points} are from a changed mix: {shares}."
    return text
