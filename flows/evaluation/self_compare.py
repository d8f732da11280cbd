"""Runs a suite against itself, and says how often its gate would block when nothing has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from aftercall.printable import printable
from flows.evaluation.gating import MAX_REGRESSED
from flows.evaluation.history import trials_of
from flows.evaluation.running import Evaluated
from flows.reports.words import counted, percent
from models.evaluation import FalseBlocks, false_blocks
from models.stats.intervals import wilson

TIMES: Final = 8
_SEED: Final = 17
_MOST_NAMED: Final = 10


@dataclass(frozen=True)
class SelfComparison:
    """Rates of false blocks, and the rows that passed at one time and failed at another, the least sure first."""

    evaluated: Evaluated
    max_regressed: int
    blocks: FalseBlocks
    flaky: tuple[tuple[str, int, int], ...]
    """Id, how often it failed, how often it was asked."""


def compared_with_itself(evaluated: Evaluated, max_regressed: int = MAX_REGRESSED) -> SelfComparison:
    """Simulate builds from the answers of a run whose cases were asked several times."""
    cases = evaluated.plan.cases
    trials = trials_of(cases, evaluated.results)
    mixed = ((trials.failures > 0) & (trials.failures < trials.trials)).nonzero()[0].tolist()
    rows = [(cases[place].id, int(trials.failures[place]), int(trials.trials[place])) for place in mixed]
    rows.sort(key=lambda row: abs(row[1] / row[2] - 0.5))
    return SelfComparison(evaluated, max_regressed, false_blocks(trials, max_regressed, _SEED), tuple(rows))


def self_json(found: SelfComparison) -> dict[str, Any]:
    """As plain JSON values."""
    blocks = found.blocks

    def rate(count: int) -> dict[str, Any]:
        low, high = wilson(count, blocks.builds)
        return {"rate": count / blocks.builds, "low": float(low), "high": float(high)}

    return {
        "run_id": found.evaluated.run.run_id,
        "dataset": found.evaluated.plan.dataset,
        "agent": found.evaluated.plan.agent,
        "rows": len(found.evaluated.plan.cases),
        "times": found.evaluated.plan.repeats,
        "max_regressed": found.max_regressed,
        "builds": blocks.builds,
        "false_blocks": rate(blocks.by_rows),
        "false_blocks_plain": rate(blocks.plainly),
        "builds_that_name_a_row": rate(blocks.named),
        "asked_again_per_build": blocks.confirmations,
        "flaky": [{"case_id": name, "failures": failures, "runs": runs} for name, failures, runs in found.flaky],
    }


def print_self(found: SelfComparison, console: Console) -> None:
    """For people."""
    for line in _lines(found):
        console.print(Text(printable(line)), soft_wrap=True)


def _lines(found: SelfComparison) -> Iterator[str]:
    blocks, plan = found.blocks, found.evaluated.plan
    yield f"{plan.dataset}: {counted(len(plan.cases), 'row')}, asked {plan.repeats} times each"
    may = f"with {found.max_regressed} rows allowed to regress"
    yield f"Of {blocks.builds:,} simulated builds that change nothing, {may}:"
    yield f"  the rule of rows blocks {_rate(blocks.by_rows, blocks.builds)}"
    yield f"  the plain rule (--no-confirm) blocks {_rate(blocks.plainly, blocks.builds)}"
    yield (
        f"The rule of rows names a row in {percent(blocks.named / blocks.builds)} of them, and asks for "
        f"{blocks.confirmations:.1f} further answers a build."
    )
    if found.flaky:
        yield f"{counted(len(found.flaky), 'row')} passed at one time and failed at another, the least sure first:"
    for name, failures, runs in found.flaky[:_MOST_NAMED]:
        yield f"  {name}  failed {failures} of {runs}"
    if len(found.flaky) > _MOST_NAMED:
        yield f"  and {len(found.flaky) - _MOST_NAMED:,} more (--json has them all)"


def _rate(count: int, builds: int) -> str:
    low, high = (float(end) for end in wilson(count, builds))
    return f"{percent(count / builds)} ({100 * low:.1f} to {100 * high:.1f})"
