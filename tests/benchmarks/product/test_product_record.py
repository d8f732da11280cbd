"""What docs/results.md says of the product's speed is what was recorded."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.product.kinds import KINDS
from benchmarks.report import RESULTS
from system.runs import ROOT


def test_the_page_has_the_recorded_figures() -> None:
    recorded = json.loads((RESULTS / "product.json").read_text())
    tables: dict[str, Any] = recorded["details"]
    page = (ROOT / "docs" / "results.md").read_text()
    kafka, replay, groups = tables["kafka"], tables["replay"], tables["groups"]
    one, two = tables["processes"]
    steady = tables["steady"]
    for line in (
        f"| {rates(kafka)} |",
        f"| {ratios(kafka)} |",
        f"{rates(replay)}; {ratios(replay)}",
        f"| {rates(groups)} |",
        f"| {one['present'] / two['present']:.2f} |",
        f"| {steady['cores']:.2f}; {steady['p50_s']:.2f} / {steady['p99_s']:.2f} s |",
        *(f"| {over_plain(tables['kinds'], kind)} |" for kind in KINDS),
    ):
        assert line in page, line


def rates(rows: list[dict[str, Any]]) -> str:
    return " / ".join(f"{row['present']:,.0f}" for row in rows)


def over_plain(rows: list[dict[str, Any]], kind: str) -> str:
    return " / ".join(f"{row['over_plain']:.2f}" for row in rows if row["kind"] == kind)


def ratios(rows: list[dict[str, Any]]) -> str:
    return " / ".join(f"{row['ratio']:.2f}" for row in rows if row["ratio"] is not None)
