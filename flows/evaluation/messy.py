"""Writes a data set with its messy variants, and reports what was made."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aftercall.errors import UsageError
from aftercall.evals.case import EvalCase
from aftercall.evals.messy.rules import MESSY
from aftercall.evals.messy.variants import OPEN, messy_variants
from connectors.own_files import open_own

if TYPE_CHECKING:
    from rich.console import Console


def write_messy(
    cases: Sequence[EvalCase], out: Path, rules: Collection[str], seed: int, vouched: Collection[str]
) -> dict[str, Any]:
    """Write the cases and their variants to a new file, one JSON object per line; returns what was made, by rule.

    Raises:
        UsageError: the file exists: it may hold answers that a person has written.
        OSError: it cannot be written.
    """
    made = messy_variants(cases, rules, seed, vouched)
    try:
        file = open_own(out, "xb")
    except FileExistsError:
        raise UsageError(f"--out: must be a new file; {out} exists (name another, or delete it)") from None
    with file:
        for case in (*cases, *made.variants):
            file.write(
                json.dumps(_plain(case), ensure_ascii=False, default=str).encode("utf-8", "backslashreplace") + b"\n"
            )
    variants = Counter(case.metadata["messy"]["rule"] for case in made.variants)
    without_answer = Counter(case.metadata["messy"]["rule"] for case in made.variants if OPEN in case.tags)
    return {
        "out": str(out),
        "cases": len(cases),
        "variants": len(made.variants),
        "rules": {
            rule: {"variants": variants[rule], "needs_expected": without_answer[rule], "unchanged": made.without[rule]}
            for rule in rules
        },
    }


def _plain(case: EvalCase) -> dict[str, Any]:
    """A case as a line of a data set has it."""
    fields = {
        "expected": case.expected,
        "checks": list(case.checks),
        "tags": list(case.tags),
        "metadata": dict(case.metadata),
    }
    return {
        "id": case.id,
        "input": case.input,
        **{name: value for name, value in fields.items() if value not in (None, [], {})},
    }


def print_messy(report: dict[str, Any], console: Console) -> None:
    """Print what was made as a table."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("rule", "variants", "need an answer", "nothing to change"):
        table.add_column(name, justify="left" if name == "rule" else "right")
    for rule, counts in report["rules"].items():
        numbers = (counts["variants"], counts["needs_expected"], counts["unchanged"])
        table.add_row(f"{rule}: {MESSY[rule].words}", *(f"{number:,}" for number in numbers))
    console.print(table)
    console.print(f"{report['cases']:,} cases and {report['variants']:,} variants in {report['out']}", highlight=False)
