"""Measures `aftercall replay` and `aftercall run` with all outputs on: `make bench-product`.

    python -m benchmarks.product [--size ci|full] [--only SECTION ...]

Prints tables and figures. With size `full` it renews the measured sections of benchmarks/results/product.json; other
runs print only, as their figures stand for nothing. CPU is user and system time of the whole process tree, without the
broker.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.kafka_broker import Broker
from benchmarks.kafka_jars import BrokerError
from benchmarks.product import record
from benchmarks.product.base import base, present
from benchmarks.product.processes import BenchmarkError, Build
from benchmarks.product.runs import Bench
from benchmarks.product.sections import SECTIONS, WITH_BASE, figures
from benchmarks.product.sizes import SIZES
from benchmarks.product.tables import WIDTH, show


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.product", description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=tuple(SIZES), default="ci")
    parser.add_argument("--only", nargs="+", choices=tuple(SECTIONS), default=tuple(SECTIONS))
    asked = parser.parse_args(arguments)
    console = Console(width=WIDTH)
    try:
        tables, took, without_base = _measured(asked.size, asked.only)
    except (BenchmarkError, BrokerError) as error:
        print(f"bench-product: {error}", file=sys.stderr)
        return 1
    found = figures(tables)
    show(tables, found, console)
    if without_base:
        console.print(without_base)
    if asked.size == "full":
        console.print(f"written to {record.renew(tables, took, SIZES[asked.size])}")
    return 0


def _measured(size: str, only: Sequence[str]) -> tuple[dict[str, Any], dict[str, float], str]:
    """Tables and seconds by section, and why there are no ratios, if so."""
    tables: dict[str, Any] = {}
    took: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="aftercall-product-") as name, Broker(heap="1g") as broker:
        bench = Bench(Path(name), broker, max(2, SIZES[size].turns))
        commit, without_base = _base(Path(name) / "base") if WITH_BASE & set(only) else (None, "")
        for section, measure in SECTIONS.items():
            if section in only:
                began_s = time.monotonic()
                tables[section] = measure(bench, present(), commit, SIZES[size])
                took[section] = round(time.monotonic() - began_s, 1)
                print(f"{section}: {took[section]} s", file=sys.stderr, flush=True)
    return tables, took, without_base


def _base(folder: Path) -> tuple[Build | None, str]:
    try:
        return base(folder), ""
    except BenchmarkError as error:
        return None, f"no ratios: {error}"


if __name__ == "__main__":
    sys.exit(main())
