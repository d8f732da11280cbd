"""Prints suspicions, each with how often such a one is real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from flows.reports.suspicions import SuspicionRow
from flows.reports.words import arm_name, counted, moment, percent, scope_name

_LISTED: Final = 10
"""So many are printed."""
TITLE: Final = "Suspicions, not sure enough for an alert:"


def show_suspicions(listed: Sequence[SuspicionRow], console: Console, *, named: bool = True) -> None:
    """Print the strongest, one line each; nothing where there are none. `named`: with their task types."""
    if not listed:
        return
    console.print(f"\n{TITLE}")
    for row in listed[:_LISTED]:
        console.print(Text(f"  {suspicion_line(row, named=named)}"))
    if len(listed) > _LISTED:
        console.print(f"  and {len(listed) - _LISTED:,} more (--json has them all)")


def suspicion_line(row: SuspicionRow, *, named: bool = True) -> str:
    """One in a sentence, with its odds; `named`: with its task type."""
    where = scope_name(row["task_type"], row["model"], row["config"])
    if not named:
        where = "all models" if row["model"] is None else arm_name(row["model"], row["config"])
    return (
        f"{where}: {percent(row['baseline'])} -> {percent(row['current'])} since {moment(row['changed_at'])}, "
        f"{counted(row['trials'], 'outcome')}; of such {odds_text(row['odds'])}"
    )


def odds_text(odds: float) -> str:
    """How often there is a change, in words.

    >>> odds_text(0.4)
    'about 4 in 10 are real'
    """
    return f"about {round(10 * odds)} in 10 are real"
