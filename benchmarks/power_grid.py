"""Writes `models/stats/power_grid.py`: the answers of `models.stats.power` at the nodes of a grid.

`make power-grid`, after a change of the detector or of the default promise; three minutes of CPU. The file is equal on
every machine but for groups whose evidence is within rounding of the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Final

from models.drift import DriftSettings
from models.stats.power import Power, power

FAILURE_RATES: Final = (0.002, 0.01, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 0.6, 0.8, 0.95)
PER_DAY: Final = (1, 3, 8, 20, 35, 60, 100, 170, 300, 550, 1000, 2500, 8000, 30_000, 100_000)
BASELINE_DAYS: Final = (1, 3, 5, 7, 14, 28, 90, 366)
FILE: Final = Path(__file__).parents[1] / "models" / "stats" / "power_grid.py"
_HEAD: Final = '''"""Holds how soon a drop of 5 points is noticed, at the nodes of a grid: written by `make power-grid`.

In the order (failure rate, outcomes a day, age of the baseline in days); `-` stands for more than eight weeks.
"""

from __future__ import annotations

from typing import Final

'''


def at_node(rate: float, per_day: float, age: float) -> Power:
    """The simulation at one node: a baseline of `age` days at this failure rate."""
    trials = per_day * age
    failures = min(max(rate * (trials + 1) - 0.5, 0.0), trials)
    settings = DriftSettings()
    return power(trials - failures, failures, per_day, settings.threshold, min_trials=settings.min_trials)


def module_of(answers: Sequence[Power]) -> str:
    """The text of the file."""
    hours = ["-" if math.isinf(found.days) else f"{24 * found.days:.3g}" for found in answers]
    weeks = [f"{100 * found.within_week:.0f}" for found in answers]
    axes = (("FAILURE_RATES", FAILURE_RATES), ("PER_DAY", PER_DAY), ("BASELINE_DAYS", BASELINE_DAYS))
    lines = [f"{name}: Final = {values!r}\n" for name, values in axes]
    for name, words in (("HOURS", hours), ("WITHIN_WEEK", weeks)):
        lines.append(f'{name}: Final = """\n{_wrapped(words)}"""\n')
    return _HEAD + "".join(lines)


def _wrapped(words: Sequence[str]) -> str:
    """One line for each pair of failure rate and traffic."""
    rows = [words[at : at + len(BASELINE_DAYS)] for at in range(0, len(words), len(BASELINE_DAYS))]
    return "".join(" ".join(row) + "\n" for row in rows)


def main() -> None:
    """Simulate all nodes and write the file."""
    FILE.write_text(
        module_of([at_node(*node) for node in product(FAILURE_RATES, PER_DAY, BASELINE_DAYS)]), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
