"""Writes the results file of a benchmark, with machine, versions and date."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "results.md"
PACKAGES = ("bytewax", "numpy", "msgspec", "pydantic", "polars")


def machine() -> dict[str, Any]:
    """The processor, its cores and the memory in GiB."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """The versions of Python and of `packages`."""
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def commit() -> str:
    """The commit that is checked out; with a `+` where files differ from it."""
    asked = ["git", "-C", str(RESULTS), "describe", "--always", "--abbrev=7", "--dirty=+"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def write(
    name: str, figures: Mapping[str, Any], *, seed: int, sizes: Mapping[str, Any], details: Mapping[str, Any]
) -> Path:
    """Write `results/<name>.json`.

    Args:
        name: name of the benchmark.
        figures: the figures that are compared between runs, by name.
        seed: seed of the data.
        sizes: how much was measured.
        details: further data that explains the figures.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    result = {
        "figures": figures,
        "machine": machine(),
        "versions": versions(),
        "seed": seed,
        "date": datetime.now(UTC).date().isoformat(),
        "sizes": sizes,
        "details": details,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def renew_section(name: str, markdown: str, document: Path = DOCUMENT) -> Path:
    """Renew a section between its marks; without them, append it. Returns the document."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = document.read_text(encoding="utf-8")
    if begin not in text:
        text = f"{text.rstrip()}\n\n{begin}\n{end}\n"
    head, _, rest = text.partition(begin)
    document.write_text(f"{head}{begin}\n{markdown.strip()}\n{end}{rest.partition(end)[2]}", encoding="utf-8")
    return document


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
