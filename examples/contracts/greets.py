"""A rule of one's own: what `function = "greets:greets"` in `every_kind.toml` names."""  # noqa: INP001 - of one module

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def greets(call: Mapping[str, Any]) -> bool | None:
    """Whether the answer begins with a greeting; None, not applicable, where there is no answer."""
    output = call.get("output")
    return output.lower().startswith(("hello", "hi")) if isinstance(output, str) else None
