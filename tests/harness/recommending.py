"""Records of recommendations, as the pipeline writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from aftercall.records import Recommendation, to_json
from aftercall.routes import Arm
from aftercall.times import to_datetime

NOW_S = 1_780_000_000.0
"""A wall clock that stands still, s."""
VALID_S = 6 * 3600.0
Weights = Mapping[tuple[str, str], float] | Mapping[Arm, float]


def recommendation(
    task_type: str,
    weights: Weights,
    *,
    seq: int = 1,
    issued_s: float = NOW_S,
    segments: Mapping[str | None, Weights] | None = None,
) -> bytes:
    """One for all calls, and for those of each segment given, valid for six hours."""
    issued_at = to_datetime(int(issued_s * 1e6))
    by_segment: dict[str | None, Weights] = {None: weights, **(segments or {})}
    return to_json(
        Recommendation.sealed(
            seq=seq,
            task_type=task_type,
            issued_at=issued_at,
            valid_until=issued_at + timedelta(seconds=VALID_S),
            segments=[{"segment": name, "arms": arms_of(given)} for name, given in by_segment.items()],
            degraded=[],
            reason="for a test",
        )
    )


def arms_of(weights: Weights) -> list[dict[str, object]]:
    unknown = {"p_best": None, "rate": None, "rate_low": None, "rate_high": None, "n": 0, "status": "ok"}
    return [
        {"model": model, "config": config, "weight": weight, **unknown} for (model, config), weight in weights.items()
    ]
