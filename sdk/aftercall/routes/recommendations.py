"""Reads recommendations from JSON, with the standard library alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from aftercall.routes.arms import Arm
from aftercall.routes.draw import Weights
from aftercall.times import parse_time


class Recommended(NamedTuple):
    """What is recommended for a task type.

    Attributes:
        seq: recommendations issued for the task type so far.
        recommendation_id: what a call that followed it logs.
        valid_until: seconds since 1970 UTC.
        segments: weights by segment, None for all calls; None where they are broken.
    """

    task_type: str
    seq: int
    recommendation_id: str
    valid_until: float
    segments: Mapping[str | None, Weights | None]


def read(data: bytes | str) -> Recommended:
    """Read a record of the topic or a line of the file.

    Raises:
        ValueError: it is no recommendation; one with broken weights is.
    """
    record = json.loads(data)
    if not isinstance(record, dict):
        raise ValueError("is not an object")  # noqa: TRY004 - one class for all that is wrong with a record
    segments = record.get("segments")
    return Recommended(
        _text(record, "task_type"),
        _seq(record.get("seq")),
        _text(record, "recommendation_id"),
        parse_time(_text(record, "valid_until")) / 1e6,
        dict(map(_segment, segments)) if isinstance(segments, list) else {None: None},
    )


def weights_of(arms: object) -> Weights | None:
    """The weights of a list of arms as the record has them; None where they are broken.

    >>> weights_of([{"model": "large", "config": "default", "weight": 1.0}]).at(0.5)
    (Arm(model='large', config='default'), 1.0)
    >>> weights_of([{"model": "large", "config": "default", "weight": 0.7}])
    """
    try:
        return Weights([_arm(arm) for arm in arms])  # type: ignore[attr-defined] # a TypeError is as good
    except (TypeError, ValueError, KeyError):
        return None


def _segment(segment: object) -> tuple[str | None, Weights | None]:
    if not isinstance(segment, dict) or not isinstance(segment.get("segment"), str | None):
        raise ValueError("has a segment without a name")  # noqa: TRY004 - as above
    return segment.get("segment"), weights_of(segment.get("arms"))


def _arm(arm: dict[str, Any]) -> tuple[Arm, float]:
    weight = arm["weight"]
    if not isinstance(weight, int | float) or isinstance(weight, bool):
        raise TypeError("a weight is a number")
    return Arm(_text(arm, "model"), _text(arm, "config")), weight


def _text(record: dict[str, Any], field: str) -> str:
    value = record.get(field)
    if not isinstance(value, str) or not value:
        raise ValueError(f"has no {field}")
    return value


def _seq(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("has no seq")  # noqa: TRY004 - one class for all that is wrong with a record
    return value
