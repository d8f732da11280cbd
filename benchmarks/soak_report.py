"""Compares the first quarter of a soak with the last: medians and slopes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.soak_samples import Sample, quantile

SHOWN: Final = {
    "rss_mb": "resident memory, MB",
    "anonymous_mb": "of it anonymous, MB",
    "state_mb": "stored state, MB",
    "recovery_mb": "recovery store, MB",
    "snapshot_mb": "snapshot, MB",
    "out_mb": "folder, MB",
    "files": "open files",
    "cores": "cores in use",
    "load": "load of the machine, all programs",
    "lag": "consumer lag, records",
    "pending": "pending calls",
    "watermark_delay_s": "watermark behind, s",
    "epoch_s": "epoch, s",
    "publication_s": "publication, s",
    "latency_p50_s": "outcome to verdict, median, s",
    "latency_p99_s": "outcome to verdict, 99 %, s",
}
Quarter = dict[str, dict[str, float]]


def quarters(samples: list[Sample], hours: float) -> tuple[Quarter, Quarter]:
    """Median and slope per hour of each quantity in the first and the last quarter."""
    first = [sample for sample in samples if sample["hour"] <= hours / 4]
    last = [sample for sample in samples if sample["hour"] > hours * 3 / 4]
    return _trends(first), _trends(last)


def slope_per_hour(samples: list[Sample], name: str) -> float:
    """The slope by least squares; nan with fewer than 3 finite samples."""
    points = [(sample["hour"], sample[name]) for sample in samples if name in sample and np.isfinite(sample[name])]
    if len(points) < 3:  # the slope of two points is chance
        return float("nan")
    at, value = np.array(points).T
    return float(np.polyfit(at, value, 1)[0])


def figures(samples: list[Sample], hours: float, events: int) -> dict[str, float]:
    """The figures that are compared between runs. Slopes are over the second half, when state has its steady size."""
    first, last = quarters(samples, hours)
    half = [sample for sample in samples if sample["hour"] > hours / 2]
    result = {
        "hours": hours,
        "events": events,
        "events_per_s": events / (hours * 3600),
        "lag_max": max(sample.get("lag", 0.0) for sample in samples),
        "rss_max_mb": max(sample["rss_mb"] for sample in samples),
    }
    for name in ("rss_mb", "out_mb", "recovery_mb", "state_mb"):
        what = name.removesuffix("_mb")
        result |= {f"{what}_first_mb": _median(first, name), f"{what}_last_mb": _median(last, name)}
        result[f"{what}_slope_mb_per_h"] = slope_per_hour(half, name)
    for name in ("latency_p50_s", "latency_p99_s", "watermark_delay_s", "epoch_s", "publication_s", "cores", "load"):
        result |= {f"{name}_first": _median(first, name), f"{name}_last": _median(last, name)}
    return {name: round(value, 4) for name, value in result.items()}


def show(samples: list[Sample], hours: float, console: Console) -> None:
    """Print the table."""
    first, last = quarters(samples, hours)
    table = Table("", "first quarter", "slope per hour", "last quarter", "slope per hour", "most")
    for name, title in SHOWN.items():
        most = quantile(_finite(samples, name), 1.0)
        cells = [cell for part in (first, last) for cell in (_median(part, name), part.get(name, {}).get("slope"))]
        table.add_row(title, *("" if cell is None else f"{cell:,.2f}" for cell in cells), f"{most:,.2f}")
    console.print(table)


def _trends(samples: list[Sample]) -> Quarter:
    names = sorted({name for sample in samples for name in sample})
    return {
        name: {"median": quantile(_finite(samples, name), 0.5), "slope": slope_per_hour(samples, name)}
        for name in names
    }


def _finite(samples: list[Sample], name: str) -> list[float]:
    return [sample[name] for sample in samples if name in sample and np.isfinite(sample[name])]


def _median(part: Quarter, name: str) -> Any:
    return part.get(name, {}).get("median", float("nan"))
