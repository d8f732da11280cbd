"""Reads model, tokens and cost of responses by their shape; runs on the sender thread and imports no provider.

| shape | tokens in | tokens out |
|---|---|---|
| OpenAI chat completions, LiteLLM | `usage.prompt_tokens` | `usage.completion_tokens` |
| OpenAI responses | `usage.input_tokens` | `usage.output_tokens` |
| Anthropic | that + `cache_read_input_tokens` + `cache_creation_input_tokens` | `usage.output_tokens` |
| Google | `usage_metadata.prompt_token_count` | `candidates_token_count` + `thoughts_token_count` |

Dicts of the same shapes count too. Only integers, floats and text are believed, so a `MagicMock` gives nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aftercall.capture.parts import OBJECT, Parts

_MAX_TEXT: Final = 256
_TOKENS_IN: Final = (
    ("prompt_tokens",),
    ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
    ("prompt_token_count",),
    ("promptTokenCount",),
    ("inputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"),
)
"""The first family that is there counts, all its names added: LiteLLM's `prompt_tokens` include what was cached."""
_TOKENS_OUT: Final = (
    ("completion_tokens",),
    ("output_tokens",),
    ("candidates_token_count", "thoughts_token_count"),
    ("candidatesTokenCount", "thoughtsTokenCount"),
    ("outputTokens",),
)
_TOTAL: Final = ("total_tokens", "total_token_count", "totalTokenCount", "totalTokens")


def used(responses: Iterable[Parts]) -> dict[str, Any]:
    """Add up what responses of one call say; one that is given twice counts once.

    Args:
        responses: as `parts_of` gives them.

    Returns:
        Those of `tokens_in`, `tokens_out`, `tokens`, `cost_usd`, `response_model`, `cache_hit` that are known.
    """
    found: dict[str, Any] = {}
    counted: set[object] = set()
    for parts in responses:
        key = _identity(parts)
        if key in counted:
            continue
        counted.add(key)
        for name, value in _of_one(parts).items():
            adds = name not in {"response_model", "cache_hit"} and name in found
            found[name] = found[name] + value if adds else value
    return found


def _identity(parts: Parts) -> object:
    """The provider's id of the response, else the object that says what was used."""
    given = _text(_get(parts, "id"))
    if given is not None:
        return given
    return id(parts.get(OBJECT) or next((part for part in _usages(parts) if part is not None), parts))


def _of_one(parts: Parts) -> dict[str, Any]:
    whole = parts.get(OBJECT, parts)
    layers = [layer for name in ("message", "response") if isinstance(layer := _get(whole, name), dict)]
    found: dict[str, Any] = {}
    for layer in (*layers, whole):
        for usage in _usages(layer):
            found |= _tokens(usage)
        found |= _hidden(layer)
        if found or OBJECT not in parts:  # else `model` may mean anything
            found |= _model(layer)
    return found


def _usages(layer: Any) -> Iterable[Any]:
    return (_get(layer, name) for name in ("usage", "usage_metadata", "usageMetadata"))


def _tokens(usage: Any) -> dict[str, int]:
    if usage is None:
        return {}
    found = {"tokens_in": _sum(usage, _TOKENS_IN), "tokens_out": _sum(usage, _TOKENS_OUT)}
    if set(found.values()) == {None}:
        found = {"tokens": next((n for n in (_count(_get(usage, name)) for name in _TOTAL) if n is not None), None)}
    return {name: value for name, value in found.items() if value is not None}


def _sum(usage: Any, families: tuple[tuple[str, ...], ...]) -> int | None:
    for names in families:
        known = [found for found in (_count(_get(usage, name)) for name in names) if found is not None]
        if known:
            return sum(known)
    return None


def _model(layer: Any) -> dict[str, str]:
    found = _text(_get(layer, "model")) or _text(_get(layer, "model_version")) or _text(_get(layer, "modelVersion"))
    return {"response_model": found} if found else {}


def _hidden(layer: Any) -> dict[str, Any]:
    hidden = _get(layer, "_hidden_params")
    if not isinstance(hidden, Mapping):
        return {}
    cost, hit = _number(hidden.get("response_cost")), hidden.get("cache_hit")
    found: dict[str, Any] = {} if cost is None else {"cost_usd": cost}
    return found | {"cache_hit": hit} if type(hit) is bool else found


def _get(holder: Any, name: str) -> Any:
    try:
        return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
    except Exception:  # noqa: BLE001  # lazy properties of foreign objects may raise anything
        return None


def _count(value: object) -> int | None:
    """A number of tokens; None for whatever else a foreign object has there."""
    found = _number(value)
    return int(found) if found is not None and found == int(found) else None


def _number(value: object) -> float | None:
    """A finite number >= 0; bools and mocks are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _text(value: object) -> str | None:
    """A text that is short enough for a label."""
    return value if isinstance(value, str) and 0 < len(value) <= _MAX_TEXT else None
