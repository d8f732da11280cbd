"""Runs variants of an agent on one suite, and compares them row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aftercall.evals.summary import by_case
from aftercall.printable import printable
from flows.evaluation.running import Evaluated
from flows.reports.fitting import in_the_middle
from flows.reports.words import counted, percent, points
from models.evaluation import PairedDifference, paired_differences

_WIDEST_NAME = 40


@dataclass(frozen=True)
class Variants:
    """Runs of one suite, one for each variant, and how each two differ."""

    runs: Sequence[Evaluated]
    pairs: Sequence[PairedDifference]


def compared(runs: Sequence[Evaluated]) -> Variants:
    """Compare the mean scores of the cases; a case that a variant has no score for is left out of its pairs."""
    cases = runs[0].plan.cases
    scores = np.full((len(runs), len(cases)), np.nan)
    places = {case.id: place for place, case in enumerate(cases)}
    for variant, evaluated in enumerate(runs):
        for summary in by_case(cases, evaluated.results):
            scores[variant, places[summary.case.id]] = np.nan if summary.score is None else summary.score
    return Variants(runs, paired_differences(scores))


def letter(variant: int) -> str:
    """A name for a variant: A, B, ..., Z, 27, 28, ..."""
    return chr(ord("A") + variant) if variant < 26 else str(variant + 1)


def variants_json(found: Variants) -> dict[str, Any]:
    """As plain JSON values."""
    return {
        "dataset": found.runs[0].plan.dataset,
        "rows": len(found.runs[0].plan.cases),
        "variants": [
            {
                "name": letter(variant),
                "agent": run.plan.agent,
                "run_id": run.run.run_id,
                **{name: getattr(run.summary, name) for name in _FIELDS},
            }
            for variant, run in enumerate(found.runs)
        ],
        "differences": [
            pair._asdict() | {"first": letter(pair.first), "second": letter(pair.second)} for pair in found.pairs
        ],
    }


_FIELDS = ("pass_rate", "interval", "avg_score", "failed_cases", "errors", "cost", "p50_ms", "p95_ms")


def print_variants(found: Variants, console: Console) -> None:
    """For people."""
    table = Table("", "agent", "passed", "score", "errors", "cost USD", "p50 ms", "p95 ms", box=None)
    for variant, run in enumerate(found.runs):
        summary = run.summary
        table.add_row(
            letter(variant),
            in_the_middle(printable(run.plan.agent), _WIDEST_NAME),
            percent(summary.pass_rate),
            _number(summary.avg_score, ".3f"),
            f"{summary.errors:,}",
            _number(summary.cost, ".4g"),
            _number(summary.p50_ms, ".0f"),
            _number(summary.p95_ms, ".0f"),
        )
    console.print(table)
    console.print()
    for line in _lines(found):
        console.print(Text(printable(line)), soft_wrap=True)


def _lines(found: Variants) -> Iterator[str]:
    yield f"Mean scores row by row; {counted(len(found.pairs), 'interval')} that hold together with 95 %:"
    for pair in found.pairs:
        interval = f"{100 * pair.low:+.1f} to {100 * pair.high:+.1f}"
        yield (
            f"  {letter(pair.second)} beside {letter(pair.first)}: {points(pair.difference)} ({interval}), "
            f"{counted(pair.rows, 'row')}: {_words(pair)}"
        )


def _words(pair: PairedDifference) -> str:
    if pair.state != "cannot_tell":
        return f"{letter(pair.second)} is {pair.state}"
    if pair.rows_more is None:
        return f"cannot tell apart; {pair.rows_for_points:,} rows in all would tell 5 points"
    return (
        f"cannot tell apart; {pair.rows_more:,} rows more would, if it stayed so "
        f"({pair.rows_for_points:,} in all tell 5 points)"
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
