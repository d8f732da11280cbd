"""Checks that events share: of all numbers in a record, and of what a field of a model takes."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic_core import PydanticCustomError

_MAX_DOUBLE = int(sys.float_info.max)


def refuse_not_finite(value: object) -> None:
    """Check every number in a record; the JSON parser bounds its depth."""
    unchecked: list[object] = [value]
    while unchecked:
        item = unchecked.pop()
        if isinstance(item, float):
            if not math.isfinite(item):
                raise PydanticCustomError("not_finite", "holds a number that is not finite; got {n}", {"n": str(item)})
        elif isinstance(item, int):
            if abs(item) > _MAX_DOUBLE:
                raise PydanticCustomError("not_finite", "holds a number too large for a double")
        elif isinstance(item, Mapping):
            unchecked.extend(item.values())
        elif isinstance(item, list):
            unchecked.extend(item)


def takes_text(annotation: Any) -> bool:
    """Whether a field so annotated is text, one of some words, or a time; `attrs` and lists of objects are not."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return takes_text(get_args(annotation)[0])
    if origin in {dict, list}:
        return False
    return annotation is str or origin is Literal or any(map(takes_text, get_args(annotation)))
