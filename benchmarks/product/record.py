"""Writes benchmarks/results/product.json, whose sections may be measured one by one: all of them take two hours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.product.base import COMMIT
from benchmarks.product.sections import SECTIONS, figures
from benchmarks.product.sizes import Size
from benchmarks.product.traffic import SEED

_PACKAGES: Final = ("duckdb", "confluent-kafka", "scipy", "orjson")


def renew(tables: Mapping[str, Any], took_s: Mapping[str, float], size: Size) -> Path:
    """Put sections in place of those that were recorded before; each says which commit was measured, and when.

    A comparison lies within one section, so none is between two runs of this command.

    Args:
        tables: by section.
        took_s: how long each took.
        size: of all.

    Returns:
        the path of the file.
    """
    path = report.RESULTS / "product.json"
    before: dict[str, Any] = json.loads(path.read_text())["details"] if path.exists() else {}
    now = {"commit": report.commit(), "date": datetime.now(UTC).date().isoformat()}
    measured = before.get("measured", {}) | {name: now | {"seconds": took_s[name]} for name in tables}
    sections = {name: table for name, table in (before | dict(tables)).items() if name in SECTIONS}
    found = rounded(figures(sections))
    details = {"base": COMMIT, "measured": measured, "versions": report.versions(_PACKAGES), **rounded(sections)}
    return report.write("product", found, seed=SEED, sizes=size._asdict(), details=details)


def rounded(value: Any) -> Any:
    """Plain values, floats to 5 significant digits; None for nan."""
    if isinstance(value, Mapping):
        return {str(key): rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if value == value else None  # noqa: PLR0124 - nan alone differs from itself
    return value
