"""Renews the section on kills in docs/results.md from benchmarks/results/kills.json.

python -m benchmarks.kill_report
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.report import RESULTS, renew_section

_LABELS: Final = {
    "kills": "kills with SIGKILL",
    "rows_lost": "rows lost",
    "rows_doubled": "rows doubled",
    "rows_differing": "rows differing",
    "resume_s_median": "from a start to the first record read, median, s",
    "repeated_outputs_share": "share of output records that are exact repeats",
}


def markdown(result: dict[str, Any]) -> str:
    """The section, from the content of a results file."""
    figures, sizes, details = (result[name] for name in ("figures", "sizes", "details"))
    moments = ", ".join(f"{count} {moment}" for moment, count in sorted(details["moments"].items()))
    alerts = details["alerts"]
    return "\n".join([
        "## Killed on a real broker",
        "",
        f"`make bench-kills KILLS={figures['kills']}` on {result['date']}: {sizes['records']:,} records of",
        f"{sizes['calls']:,} calls in {sizes['partitions']} partitions of each topic, epochs of 1 s.",
        f"Moments of the kills: {moments}.",
        "(`member`, `parent`: one process of several; `broker`: it died, and came back before the kill or later.)",
        "All rows of `calls`, `statements`, `rates`, `current_rates`, `dead_letters` and `pipeline` and the newest",
        "verdicts were compared with an uninterrupted run's, and with what follows from the records alone: dead",
        "letters without `payload` and `event_id`, since those of outcomes that waited for their call have no payload.",
        "",
        "| figure | |",
        "|---|---|",
        *(f"| {label} | {figures[name]} |" for name, label in _LABELS.items()),
        f"| times the broker died | {details['broker_deaths']} |",
        f"| load of the machine ({result['machine']['cores']} cores), median | {details['load_average']} |",
        f"| alerts, and of them also in the uninterrupted run | {alerts['alerts']}, {alerts['alerts_in_both']} |",
        f"| recommendations, likewise | {alerts['recommendations']}, {alerts['recommendations_in_both']} |",
    ])  # fmt: skip


def written(path: Path) -> Path:
    """Renew the section from the results at `path`. Returns the document."""
    return renew_section("bench-kills", markdown(json.loads(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    print(f"wrote {written(RESULTS / 'kills.json')}")
