"""Weighs a suite by how common its strata are in production: `aftercall eval weigh`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from aftercall.printable import printable
from flows.evaluation.weigh_rows import DIMENSIONS, SuiteInSnapshot
from flows.reports.words import percent
from models.arrays import F64, I64
from models.evaluation import StrataCells, Weighed, in_strata, strata_of, weigh

if TYPE_CHECKING:
    import duckdb
    from rich.console import Console

MOST_STRATA: Final = 20
ENOUGH_ANSWERED: Final = 0.9
HALF: Final = 0.5
"""Where the suite covers less of production, nothing is said."""


@dataclass(frozen=True)
class Weighing:
    """What can be said of a suite beside production, and what cannot."""

    task: str
    run_id: str
    dimensions: tuple[str, ...]
    """Those that make the strata."""
    left_out: tuple[str, ...]
    """Sentences: which do not, and why."""
    strata: list[tuple[str, ...]]
    """The values of each stratum, in the order of `dimensions`."""
    cells: StrataCells
    weighed: Weighed | None
    case_ids: list[str]
    case_strata: I64
    """The stratum of each case."""
    calls: int
    """Of production."""


def weigh_suite(opened: duckdb.DuckDBPyConnection, task: str, production: str | None) -> Weighing:
    """Weigh the newest emitted run of a suite.

    Args:
        opened: as `aftercall.open_snapshot`.
        task: the task type of the suite's answers, `eval:...`.
        production: the task type of production; None: all that are not of suites.

    Raises:
        NotEmittedError: the snapshot has no answer of the suite.
    """
    found = SuiteInSnapshot(opened, task, production)
    known, missing = found.dimensions()
    return _weighing(task, found.run_id, known, missing, found.cells(known), found.design_effect())


def _weighing(
    task: str, run_id: str, known: tuple[str, ...], missing: list[str], rows: list[tuple[Any, ...]], effect: float
) -> Weighing:
    """Rows: (whether of the suite, case id, segment, length, tool, calls, successes, resolved)."""
    keys = sorted({tuple(row[2:5]) for row in rows})
    place = {key: at for at, key in enumerate(keys)}
    values = np.array([_codes(keys, at) for at in range(len(DIMENSIONS))], np.int64).T.reshape(len(keys), -1)
    cases = [row for row in rows if row[0]]
    of = np.array([place[tuple(row[2:5])] for row in rows], np.int64)
    suite = np.array([bool(row[0]) for row in rows])
    numbers = np.array([[float(part) for part in row[5:8]] for row in rows], np.float64).reshape(-1, 3)
    cells = _cells(len(keys), of, suite, numbers)
    order = [DIMENSIONS.index(name) for name in known]
    chosen = strata_of(values[:, order], cells.rows, cells.calls)
    dimensions = tuple(known[at] for at in chosen.dimensions)
    dropped = [f"{name}: the suite has too few cases in some of its values" for name in known if name not in dimensions]
    summed = in_strata(cells, chosen.of)
    names = _names(keys, chosen.of, [order[at] for at in chosen.dimensions])
    return Weighing(
        task,
        run_id,
        dimensions,
        (*missing, *dropped),
        names,
        summed,
        weigh(summed, effect),
        [str(row[1]) for row in cases],
        chosen.of[of[suite]],
        int(cells.calls.sum()),
    )


def _cells(count: int, of: I64, suite: np.ndarray[Any, Any], numbers: F64) -> StrataCells:
    """A case that was run several times counts as its share of passes."""
    calls, good, resolved = numbers.T
    share = np.divide(good, resolved, out=np.zeros_like(good), where=resolved > 0)

    def summed(part: F64, own: np.ndarray[Any, Any]) -> F64:
        return np.bincount(of[own], part[own], count).astype(np.float64)

    scored = suite & (resolved > 0)
    return StrataCells(
        summed(share, scored),
        summed(np.ones_like(share), scored),
        summed(calls, ~suite),
        summed(good, ~suite),
        summed(resolved, ~suite),
    )


def _codes(keys: Sequence[tuple[Any, ...]], at: int) -> list[int]:
    numbered = {value: number for number, value in enumerate(sorted({str(key[at]) for key in keys}))}
    return [numbered[str(key[at])] for key in keys]


def _names(keys: Sequence[tuple[Any, ...]], of: I64, dimensions: Sequence[int]) -> list[tuple[str, ...]]:
    first = [int(np.flatnonzero(of == stratum)[0]) for stratum in range(int(of.max()) + 1 if len(of) else 0)]
    return [tuple(str(keys[at][dimension]) for dimension in dimensions) for at in first]


def weigh_report(found: Weighing) -> dict[str, Any]:
    """The same as plain JSON; `state` is `too_polite`, `too_hard`, `cannot_tell` or `cannot_say`, with `words`."""
    weighed, cells = found.weighed, found.cells
    state, words = _verdict(found)
    report: dict[str, Any] = {
        "task_type": found.task,
        "run_id": found.run_id,
        "cases": len(found.case_ids),
        "calls": found.calls,
        "dimensions": list(found.dimensions),
        "left_out": list(found.left_out),
        "state": state,
        "words": words,
    }
    if weighed is None:
        return report
    return report | {
        "plain": weighed.plain,
        "suite": weighed.suite._asdict(),
        "production": weighed.production._asdict(),
        "difference": weighed.difference._asdict(),
        "covered": weighed.covered,
        "strata": [
            {
                "values": dict(zip(found.dimensions, name, strict=True)),
                "share": float(cells.calls[at] / cells.calls.sum()),
                "cases": int(cells.rows[at]),
                "weight": float(weighed.weights[at]),
                "suite": _ratio(cells.passes[at], cells.rows[at]),
                "production": _ratio(cells.successes[at], cells.resolved[at]),
            }
            for at, name in enumerate(found.strata)
        ],
        "weights": {
            case: float(weighed.weights[at]) for case, at in zip(found.case_ids, found.case_strata, strict=True)
        },
    }


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _verdict(found: Weighing) -> tuple[str, str]:
    weighed = found.weighed
    if not found.calls:
        return "cannot_say", "The snapshot has no calls of production."
    if weighed is None:
        return "cannot_say", "No stratum has both a case that was scored and a call of production with a verdict."
    if weighed.covered < HALF:
        words = (
            f"The suite has cases for {percent(weighed.covered)} of production's calls, which is too little to compare."
        )
        return "cannot_say", words
    suite, production = f"suite {percent(weighed.suite.value)}", f"production {percent(weighed.production.value)}"
    value, low, high = (100 * part for part in weighed.difference)
    head = f"Under production's weights {suite}, {production}: "
    if low > 0:
        return "too_polite", f"{head}this suite is too polite by {value:.0f} points ({low:.0f} to {high:.0f})."
    if high < 0:
        return (
            "too_hard",
            f"{head}this suite is too hard by {-value:.0f} points ({-high:.0f} to {-low:.0f}).",
        )
    return "cannot_tell", f"{head}no difference can be shown ({low:+.0f} to {high:+.0f} points)."


def limits(found: Weighing) -> list[str]:
    """What cannot be said, and why."""
    said = [f"Not weighed by {sentence}." for sentence in found.left_out]
    if found.weighed is not None and found.weighed.covered < 1:
        said.append(
            f"{percent(1 - found.weighed.covered)} of production's calls are in strata without a case or a verdict."
        )
    answered = float(found.cells.resolved.sum() / max(found.cells.calls.sum(), 1))
    if answered < ENOUGH_ANSWERED:
        said.append(f"{percent(answered)} of production's calls have a verdict; how the others ended is not known.")
    return said


def print_weighing(found: Weighing, console: Console) -> None:
    """Print the comparison, a line per stratum, and what cannot be said."""
    from rich.table import Table
    from rich.text import Text

    report = weigh_report(found)
    lines = [f"{found.task}, run {found.run_id}: {report['cases']:,} cases; production: {found.calls:,} calls"]
    lines += [f"all cases counted once: {percent(report['plain'])}"] if "plain" in report else []
    for line in (*lines, report["words"]):
        console.print(Text(printable(line)), soft_wrap=True)
    if found.dimensions and "strata" in report:
        table = Table(box=None, pad_edge=False)
        for name in (*found.dimensions, "of production", "cases", "weight", "suite", "production"):
            table.add_column(name, justify="left" if name in found.dimensions else "right", overflow="fold")
        for one in sorted(report["strata"], key=lambda stratum: -stratum["share"])[:MOST_STRATA]:
            names = [Text(printable(value)) for value in one["values"].values()]
            rates = [percent(one[side]) for side in ("suite", "production")]
            table.add_row(*names, percent(one["share"]), str(one["cases"]), f"{one['weight']:.2f}", *rates)
        console.print(table)
    for line in limits(found):
        console.print(Text(printable(line)), soft_wrap=True)
