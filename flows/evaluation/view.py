"""Prints what came of a run of a suite for people, on 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aftercall.evals.results import CheckCount, EvalResult, TagResult
from aftercall.evals.summary import CaseSummary, by_case
from aftercall.printable import printable
from flows.evaluation.running import Evaluated
from flows.evaluation.verdict import Ending
from flows.reports.fitting import Column, fitted, in_the_middle
from flows.reports.words import counted, interval, percent

MOST_SHOWN: Final = 10
_MOST_TAGS: Final = 12
_WIDEST_NAME: Final = 24
_LEAST_WIDTH: Final = 30
_MOST_ANSWER: Final = 200


def print_run(evaluated: Evaluated, ending: Ending, console: Console) -> None:
    """Print the result of a run: the whole, by tag, by check, and why cases did not pass."""
    result = evaluated.summary
    for line in _head(evaluated, result):
        console.print(Text(printable(line)), soft_wrap=True)
    if result.tags:
        console.print()
        console.print(_tags(result, console.width))
    if _is_worth_a_table(result):
        console.print()
        console.print(_checks(result.checks, console.width))
    for line in _idle(result.checks):
        console.print(Text(printable(line)), soft_wrap=True)
    _print_failures(by_case(evaluated.plan.cases, evaluated.results), console)
    if ending.reason:
        console.print()
        console.print(Text(_sentence(ending)), soft_wrap=True)


def _head(evaluated: Evaluated, result: EvalResult) -> Iterator[str]:
    run = evaluated.run
    yield f"{run.dataset} · {in_the_middle(run.agent, 40)} · run {run.run_id}"
    scored = result.total_cases - result.unscored_cases
    passed = scored - result.failed_cases
    share = f": {percent(result.pass_rate)} ({interval(*(result.interval or (None, None)))})" if scored else ""
    yield f"{passed:,} of {counted(scored, 'case')} passed{share}"
    yield ", ".join(_figures(evaluated, result))


def _figures(evaluated: Evaluated, result: EvalResult) -> Iterator[str]:
    if result.avg_score is not None:
        yield f"mean score {result.avg_score:.2f}"
    if evaluated.plan.repeats > 1:
        yield f"each asked {evaluated.plan.repeats} times, {result.flaky_cases:,} with both results"
    if result.unscored_cases:
        yield f"{result.unscored_cases:,} that could not be scored"
    yield counted(result.errors, "error")
    if result.p50_ms is not None and result.p95_ms is not None:
        yield f"p50 {_ms(result.p50_ms)}, p95 {_ms(result.p95_ms)}"
    if result.cost is not None:
        yield f"cost {result.cost:.4g} USD"


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"


def _tags(result: EvalResult, width: int) -> Table:
    shown = sorted(result.tags.items(), key=lambda one: _worst_first(one[1]))[:_MOST_TAGS]
    columns = [
        Column("cases", [f"{one.total_cases:,}" for _, one in shown]),
        Column("failed", [f"{one.failed_cases:,}" for _, one in shown]),
        Column("passed", [percent(one.pass_rate) for _, one in shown]),
        Column("95 %", [interval(*(one.interval or (None, None))) for _, one in shown], least=60),
    ]
    return fitted([(name,) for name, _ in shown], ("tag",), columns, width)


def _worst_first(tag: TagResult) -> tuple[float, int]:
    return (2.0 if tag.pass_rate is None else tag.pass_rate, -tag.total_cases)


def _is_worth_a_table(result: EvalResult) -> bool:
    """Not where there is one check, of which the first lines say all."""
    return len(result.checks) > 1


def _checks(checks: Mapping[str, CheckCount], width: int) -> Table:
    shown = sorted(checks.items(), key=lambda one: -one[1].failed)[:_MOST_TAGS]
    columns = [
        Column("passed", [f"{one.passed:,}" for _, one in shown]),
        Column("failed", [f"{one.failed:,}" for _, one in shown]),
        Column("not applicable", [f"{one.not_applicable:,}" for _, one in shown], least=60),
        Column("errors", [f"{one.errors:,}" for _, one in shown]),
    ]
    return fitted([(name,) for name, _ in shown], ("check",), columns, width)


def _idle(checks: Mapping[str, CheckCount]) -> Iterator[str]:
    """Checks that never judged anything, which would else look like checks that found nothing."""
    for name, one in checks.items():
        if not one.passed and not one.failed:
            yield f"{name} judged no answer: {one.reason or 'it never applied'}"


def _print_failures(summaries: Sequence[CaseSummary], console: Console) -> None:
    failed = sorted((one for one in summaries if not one.passed), key=lambda one: one.score is None)
    if not failed:
        return
    console.print()
    console.print("Not passed:")
    wide = min(max(len(printable(one.case.id)) for one in failed[:MOST_SHOWN]), _WIDEST_NAME)
    for one in failed[:MOST_SHOWN]:
        _print_beside(in_the_middle(printable(one.case.id), wide), printable(one.reason), wide, console)
        answer = next((result.answer for result in one.results if result.answer is not None), None)
        if answer is not None:
            _print_beside("", f"answered: {printable(answer.text[:_MOST_ANSWER])}", wide, console)
    if len(failed) > MOST_SHOWN:
        console.print(f"  and {len(failed) - MOST_SHOWN:,} more (--junit has them all)")


def _print_beside(name: str, text: str, wide: int, console: Console) -> None:
    """A name, and beside it a text that is folded to the width of the terminal."""
    lines = wrap(text, max(console.width - wide - 4, _LEAST_WIDTH)) or [""]
    for at, line in enumerate(lines):
        console.print(Text(f"  {name if not at else '':{wide}}  {line}".rstrip()), soft_wrap=True)


def _sentence(ending: Ending) -> str:
    return f"{ending.reason[:1].upper()}{ending.reason[1:]}."
