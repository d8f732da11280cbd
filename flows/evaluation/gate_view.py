"""Shows what a gate found: as JSON, and as lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from aftercall.printable import printable
from flows.evaluation.gating import FoundRow, GateReport
from flows.evaluation.verdict import Ending
from flows.reports.fitting import in_the_middle
from flows.reports.words import counted, percent

MOST_NAMED: Final = 20
_WIDEST_NAME: Final = 32


def gate_json(report: GateReport) -> dict[str, Any]:
    """The report as plain JSON values, for `gate` of `eval run --json`."""
    plain = asdict(report)
    del plain["ending"]
    return plain | {"reason": report.ending.reason, "exit_code": int(report.ending.code)}


def print_gate(report: GateReport, ending: Ending, console: Console) -> None:
    """Print what a gate found, rows named, and how the run ends."""
    console.print()
    sentence = f"{ending.reason[:1].upper()}{ending.reason[1:]}."
    for line in (*gate_lines(report), sentence):
        console.print(Text(printable(line)), soft_wrap=True)


def gate_lines(report: GateReport) -> Iterator[str]:
    """What a gate found, line by line."""
    if report.rule is None:
        return
    asked = f"; {counted(report.asked_again, 'answer')} asked for again" if report.asked_again else ""
    yield (
        f"Held against {counted(report.runs, 'recorded run')} up to {report.baseline}: "
        f"{counted(report.compared, 'row')} compared{asked}"
    )
    if report.note:
        yield f"Judged {report.note}"
    yield from _named("Regressed", report.regressed, likely=report.rule == "rows")
    yield from _named("In doubt, and not counted", report.doubtful, likely=True)
    if report.new:
        names = ", ".join(report.new[:MOST_NAMED])
        yield f"New rows that fail, and do not count: {names}{_rest(len(report.new))}"


def _named(title: str, rows: Sequence[FoundRow], *, likely: bool) -> Iterator[str]:
    if not rows:
        return
    yield f"{title}:"
    wide = min(max(len(printable(row.case_id)) for row in rows[:MOST_NAMED]), _WIDEST_NAME)
    for row in rows[:MOST_NAMED]:
        name = in_the_middle(printable(row.case_id), wide)
        before = f"passed {row.runs_before - row.failures_before} of {row.runs_before} before"
        now = f"{row.runs_now - row.failures_now} of {row.runs_now} now"
        yield f"  {name:{wide}}  {before}, {now}" + (f": broken with {percent(row.broken)}" if likely else "")
    if len(rows) > MOST_NAMED:
        yield f"  {_rest(len(rows)).lstrip(', ')}"


def _rest(count: int) -> str:
    return f", and {count - MOST_NAMED:,} more (--json has them all)" if count > MOST_NAMED else ""
