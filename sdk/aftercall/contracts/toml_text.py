"""Writes a contract as TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def contract_toml(content: Mapping[str, Any], comments: Mapping[str, str] | None = None) -> str:
    """The content of a contract file, as plain JSON, written as TOML.

    Args:
        content: keys of the file; None is left out, as TOML has no word for it.
        comments: one line above a rule, by its id.

    >>> print(contract_toml({"contract": "c", "rule": [{"id": "fast", "when": {"attrs.tier": "gold"}}]}).strip())
    contract = "c"
    <BLANKLINE>
    [[rule]]
    id = "fast"
    when = { "attrs.tier" = "gold" }
    """
    lines = [f"{_key(key)} = {_value(value)}" for key, value in content.items() if key != "rule" and value is not None]
    for rule in content.get("rule", ()):
        comment = (comments or {}).get(rule["id"])
        lines += ["", *([f"# {' '.join(comment.split())}"] if comment else []), "[[rule]]"]
        lines += [f"{_key(key)} = {_value(value)}" for key, value in rule.items() if value is not None]
    return "\n".join(lines) + "\n"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(part)}" for key, part in value.items() if part is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and value.is_integer():
        return repr(int(value))
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    """A basic string: JSON's escapes are TOML's, but for pairs of surrogates and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
