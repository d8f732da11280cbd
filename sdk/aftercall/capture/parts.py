"""Takes out of a response what says which model answered and what it used; the rest is not held.

A response may be 200 kB, and 10,000 of them may wait in the queue. So on the response path the few parts that are read
later are looked up in the object's own dictionaries, which runs no code of the object. Where it has none of them, as
with lazy properties, the object itself is held and read on the sender thread.
"""

from __future__ import annotations

from typing import Any, Final

Parts = dict[str, Any]
OBJECT: Final = "object"
"""Key of a response of which no part was found, and which is held itself."""
_NAMES: Final = (
    "usage",
    "usage_metadata",
    "usageMetadata",
    "model",
    "model_version",
    "modelVersion",
    "id",
    "_hidden_params",
)
_SAYS_MORE: Final = ("usage", "usage_metadata", "usageMetadata", "_hidden_params")
_NESTED: Final = ("message", "response")
"""Where events of streams have their parts: Anthropic's `message_start`, OpenAI's `response.completed`."""
_STORES: Final = ("__pydantic_extra__", "__pydantic_private__")
_USELESS: Final = frozenset({str, bytes, bytearray, int, float, bool, type(None), list, tuple, set, frozenset})
_instance_dict = object.__getattribute__


def parts_of(response: object) -> Parts | None:
    """Take references to the parts of a response; None where it cannot have any. It takes about 1 us.

    Args:
        response: what a provider's library, or the agent, returned.
    """
    if type(response) in _USELESS:
        return None
    found = _own_parts(response)
    if found is None and type(response) is not dict and _computes(type(response)):
        return {OBJECT: response}
    return found


def parts_of_chunk(chunk: object) -> Parts | None:
    """Take the parts of one chunk of a stream; None where it has none. Never the chunk itself."""
    if type(chunk) in _USELESS:
        return None
    found = _own_parts(chunk) or {}
    for name in _NESTED:
        inner = _looked_up(chunk, name)
        if inner is not None and type(inner) not in _USELESS:
            parts = _own_parts(inner)
            if parts is not None:
                found[name] = parts
    return found or None


def _own_parts(value: object) -> Parts | None:
    """Parts in the dictionaries of an object; None where nothing says what was used, so that `model` may mean else."""
    found: Parts = {}
    for store in _stores(value):
        for name in _NAMES:
            if name in store:
                found[name] = store[name]
    return found if any(name in found for name in _SAYS_MORE) else None


def _looked_up(value: object, name: str) -> Any:
    for store in _stores(value):
        if name in store:
            return store[name]
    return None


def _computes(kind: type) -> bool:
    """Whether objects of this type may have parts that are in no dictionary: properties, `__getattr__`, slots."""
    return hasattr(kind, "__getattr__") or any(hasattr(kind, name) for name in _SAYS_MORE)


def _stores(value: object) -> list[dict[str, Any]]:
    """The dictionaries in which an object, or a pydantic model, keeps what it has."""
    if isinstance(value, dict):
        return [value]
    own = _slot(value, "__dict__")
    stores = [own] if own else []
    if hasattr(type(value), "__pydantic_extra__"):
        stores += [store for store in (_slot(value, name) for name in _STORES) if store]
    return stores


def _slot(value: object, name: str) -> Any:
    try:
        return _instance_dict(value, name)
    except AttributeError:
        return None
