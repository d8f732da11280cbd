"""Defines what a caller asks for, an arm, and what it gets: a route."""

from __future__ import annotations

from typing import Literal, NamedTuple

Reason = Literal["not_ready", "expired", "unknown_task", "invalid"]
"""Why a route has the caller's default."""


class Arm(NamedTuple):
    """A model and a config that a call may be sent to; equal to the plain tuple.

    >>> Arm("large"), Arm("large", "prompt-v7") == ("large", "prompt-v7")
    (Arm(model='large', config='default'), True)
    """

    model: str
    config: str = "default"


class Route(NamedTuple):
    """The arm to call, and what to log with the call.

    Attributes:
        model: of the arm.
        config: of the arm.
        task_type: as it was asked for.
        segment: as it was asked for.
        recommendation_id: the recommendation that was followed; None for the default.
        propensity: the probability with which this arm was drawn, (0, 1]; None for the default, which the caller's own
            rule has chosen.
        reason: None where the arm was drawn; else why it is the default: `not_ready` (the source has not been read to
            its end), `expired`, `unknown_task` (no recommendation for this task type and segment), `invalid` (its
            weights are broken, no arm with a weight is allowed, or the arguments are wrong).
    """

    model: str
    config: str
    task_type: str
    segment: str | None = None
    recommendation_id: str | None = None
    propensity: float | None = None
    reason: Reason | None = None

    @property
    def arm(self) -> Arm:
        """Model and config alone."""
        return Arm(self.model, self.config)
