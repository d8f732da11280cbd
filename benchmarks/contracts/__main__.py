"""Runs the parts, prints their figures beside what is wanted, and writes `benchmarks/results/contracts.json`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.contracts import calls, guard, text

PARTS: Final[dict[str, Callable[[], Mapping[str, float]]]] = {
    "text": text.figures,
    "columns": calls.columns,
    "tool_path": calls.tool_path,
    "guard": guard.figures,
}
"""By name, what measures some of `WANTED`; further figures are details."""
WANTED: Final = {
    "share_columns": 0.01,
    "share_tool_path": 0.15,
    "share_text": None,
    "text_us_over_json_decode": 10.0,
    "bytes_per_held_call_added": 0.0,
    "guard_us_p99": 20.0,
}
"""The most of each figure; None: it is reported, and nothing is promised."""
NAME: Final = "contracts"


def main() -> None:
    """Run all parts, or those of `--only`, whose figures renew those of the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.contracts", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--write", action="store_true", help="write the results")
    given = parser.parse_args()
    found: dict[str, float] = {}
    for part in given.only:
        found.update(PARTS[part]())
    table = Table("figure", "measured", "at most")
    for name, value in found.items():
        wanted = WANTED.get(name)
        table.add_row(name, f"{value:.3g}", "" if wanted is None else f"{wanted:g}")
    Console().print(table)
    if given.write:
        _write(found)


def _write(found: Mapping[str, float]) -> None:
    """Figures that were not measured now stay as they were; null: never measured."""
    before = _written()
    figures = {name: found.get(name, before["figures"].get(name)) for name in WANTED}
    details = before["details"] | {name: value for name, value in found.items() if name not in WANTED}
    report.write(NAME, figures, seed=text.SEED, sizes={"texts": text.TEXTS, "rounds": text.ROUNDS}, details=details)


def _written() -> dict[str, Any]:
    path = report.RESULTS / f"{NAME}.json"
    return json.loads(path.read_text()) if path.exists() else {"figures": {}, "details": {}}


if __name__ == "__main__":
    main()
