"""Makes the result of a tool empty, partial, stale or contradicting; the result itself is never changed.

Results are plain JSON: lists, objects, texts, numbers. A text that is a JSON document is broken as that and written
back. Where there is nothing to take away, the result stays as it is, which is reported: such a fault has tested
nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any, Final

COUNTS: Final = frozenset({"total", "count", "size", "hits", "length", "matches", "results", "items", "total_count"})
"""Names under which an object says how many things its lists have."""
STALE_BY: Final = timedelta(days=400)
MAX_DEPTH: Final = 50
_DATE: Final = re.compile(r"(?<![0-9])(19|20)[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(?![0-9])")
_ID: Final = re.compile(r"(^|_)(id|uuid|key)$", re.IGNORECASE)
_CONTRARY: Final = "Correction: the opposite of this is the case."


def broken(kind: str, result: Any) -> Any:
    """The result as a fault leaves it; equal to the result where the fault has nothing to break in it.

    >>> broken("empty", {"items": [1, 2], "total": 2}), broken("partial", [1, 2, 3])
    ({'items': [], 'total': 0}, [1])
    >>> broken("stale", {"price": 5, "as_of": "2026-11-30"})
    {'price': 5, 'as_of': '2025-10-26', 'stale': True}
    >>> broken("contradict", {"order_id": 7, "paid": True, "amount": 20})
    {'order_id': 7, 'paid': False, 'amount': 41}
    >>> broken("partial", '[{"id": 1}, {"id": 2}]')
    '[{"id": 1}]'
    """
    if kind not in _BREAKS:
        return result
    document = _document(result)
    if document is None:
        return _BREAKS[kind](result)
    try:
        changed = _BREAKS[kind](document)
        return result if changed == document else json.dumps(changed, ensure_ascii=False)
    except RecursionError:  # what is nested that deep is no result of a tool
        return result


def _document(result: Any) -> Any:
    """What a text holds that is a JSON list or object; None for anything else."""
    if not isinstance(result, str) or not result.lstrip().startswith(("{", "[")):
        return None
    try:
        found = json.loads(result)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list | dict) else None


def _empty(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return ""
    if isinstance(value, list | tuple):
        return type(value)() if type(value) in {list, tuple} else []
    if not isinstance(value, Mapping) or depth > MAX_DEPTH or not _has_list(value, depth):
        return {} if isinstance(value, Mapping) else None
    return {key: _without_things(key, part, depth) for key, part in value.items()}


def _without_things(key: Any, part: Any, depth: int) -> Any:
    if isinstance(part, list | tuple) or (isinstance(part, Mapping) and _has_list(part, depth + 1)):
        return _empty(part, depth + 1)
    return 0 if key in COUNTS and type(part) is int else part


def _has_list(value: Any, depth: int = 0) -> bool:
    """Whether a list is somewhere in it."""
    if isinstance(value, Mapping) and depth <= MAX_DEPTH:
        return any(_has_list(part, depth + 1) for part in value.values())
    return isinstance(value, list | tuple)


def _partial(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return value[: len(value) // 2].rstrip() or value
    if depth > MAX_DEPTH:
        return value
    if isinstance(value, list | tuple):
        return _half(value, depth)
    if isinstance(value, Mapping):
        return _partial_object(value, depth)
    return value


def _half(value: Any, depth: int) -> Any:
    kept = list(value[: len(value) // 2]) or [_partial(part, depth + 1) for part in value]
    return tuple(kept) if type(value) is tuple else kept


def _partial_object(value: Mapping[Any, Any], depth: int) -> Any:
    """Lists in it are halved; where there are none, half of its fields are missing."""
    if _has_list(value, depth):
        less = {key: _partial(part, depth + 1) if _has_list(part, depth + 1) else part for key, part in value.items()}
    elif len(value) > 1:
        less = dict(list(value.items())[: len(value) // 2])
    else:
        less = {key: _partial(part, depth + 1) for key, part in value.items()}
    return value if less == value else {**less, "partial": True} if depth == 0 else less


def _stale(value: Any, depth: int = 0) -> Any:
    """Days in it are moved back; an object says that it is stale, as do those of a list."""
    if isinstance(value, str):
        return _DATE.sub(_earlier, value)
    if depth > MAX_DEPTH:
        return value
    if isinstance(value, list | tuple):
        moved = [_stale(part, depth) for part in value]
        return tuple(moved) if type(value) is tuple else moved
    if isinstance(value, Mapping):
        older = {key: _stale(part, depth + 1) for key, part in value.items()}
        return {**older, "stale": True} if depth == 0 else older
    return value


def _earlier(day: re.Match[str]) -> str:
    try:
        return (date.fromisoformat(day[0]) - STALE_BY).isoformat()
    except ValueError:  # such as 2026-02-30
        return day[0]


def _contradicting(value: Any, depth: int = 0) -> Any:
    """An object says otherwise; a list has both what it had and the contrary of it."""
    if isinstance(value, str):
        return f"{value} {_CONTRARY}" if value else value
    if depth > MAX_DEPTH:
        return value
    if isinstance(value, list | tuple):
        both = [*value, *(_contrary(part, depth + 1) for part in value[:3])]
        return tuple(both) if type(value) is tuple else both
    return _contrary(value, depth)


def _contrary(value: Any, depth: int) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + abs(value) + 1
    if isinstance(value, str):
        return f"not {value}" if value else value
    if isinstance(value, Mapping) and depth <= MAX_DEPTH:
        texts_too = not any(isinstance(part, int | float) for key, part in value.items() if not _is_id(key))
        return {
            key: part if _is_id(key) or (isinstance(part, str) and not texts_too) else _contradicting_part(part, depth)
            for key, part in value.items()
        }
    return value


def _contradicting_part(part: Any, depth: int) -> Any:
    return _contradicting(part, depth + 1) if isinstance(part, list | tuple) else _contrary(part, depth + 1)


def _is_id(key: object) -> bool:
    return isinstance(key, str) and _ID.search(key) is not None


_BREAKS: Final[dict[str, Callable[[Any], Any]]] = {
    "empty": _empty,
    "partial": _partial,
    "stale": _stale,
    "contradict": _contradicting,
}
