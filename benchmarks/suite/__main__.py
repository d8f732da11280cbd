"""Runs the parts, prints their figures beside what is wanted, and writes `benchmarks/results/suite.json`."""

from __future__ import annotations

import argparse
import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.suite import aa, gate, golden, overhead, shapes

PARTS: Final[dict[str, Callable[[int, np.random.Generator], Mapping[str, float]]]] = {
    "gate": gate.figures,
    "golden": golden.figures,
    "aa": aa.figures,
    "overhead": overhead.figures,
    "shapes": shapes.figures,
}
"""By name, what measures some of `WANTED`; further figures are details."""
WANTED: Final = {
    "gate_false_blocks_50": "<= 0.01",
    "gate_false_blocks_200": "<= 0.01",
    "gate_found_3_rows": ">= 0.9",
    "golden_false_alarms": "<= 0.01",
    "golden_found_3_rows": ">= 0.9",
    "aa_error": "",
    "overhead_ms_per_case": "<= 5",
}
"""What each figure should be; empty: it is reported, and nothing is promised."""
NAME: Final = "suite"
BUILDS: Final = 3000


def main() -> None:
    """Run all parts, or those of `--only`, whose figures renew those of the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suite", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--builds", type=int, default=BUILDS, help="simulated builds of each set")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(2**31), help="of the draws; by default a fresh one"
    )
    parser.add_argument("--write", action="store_true", help="write the results")
    given = parser.parse_args()
    found: dict[str, float] = {}
    for place, part in enumerate(given.only):
        found |= {
            name: round(float(value), 4)
            for name, value in PARTS[part](given.builds, np.random.default_rng([given.seed, place])).items()
        }
    table = Table("figure", "measured", "wanted")
    for name, value in found.items():
        table.add_row(name, f"{value:.4g}", WANTED.get(name, ""))
    Console().print(table)
    if given.write:
        _write(found, given.seed, given.builds)


def _write(found: Mapping[str, float], seed: int, builds: int) -> None:
    """Figures that were not measured now stay as they were; null: never measured."""
    before = _written()
    figures = {name: found.get(name, before["figures"].get(name)) for name in WANTED}
    details = before["details"] | {name: value for name, value in found.items() if name not in WANTED}
    report.write(NAME, figures, seed=seed, sizes={"builds": builds}, details=details)


def _written() -> dict[str, Any]:
    path = report.RESULTS / f"{NAME}.json"
    return json.loads(path.read_text()) if path.exists() else {"figures": {}, "details": {}}


if __name__ == "__main__":
    main()
