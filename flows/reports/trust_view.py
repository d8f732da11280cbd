"""Prints trust scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from aftercall.printable import printable
from flows.reports.fitting import Column, config_name, fitted
from flows.reports.trust import TrustRow
from flows.reports.words import bare, interval, moment

_SHOWN: Final = 40
_SEEN: Final = 0.05
"""Points below which a score has not moved."""


def show_wholes(found: Sequence[TrustRow], console: Console) -> None:
    """Print a line for each task type, the one that can be trusted least first."""
    wholes = sorted((row for row in found if row.is_whole), key=lambda row: (row.score_low is None, row.score_low or 0))
    console.print("Trust of each task type, of 1,000; trust the lower end.")
    _show_scores(wholes, ("task type",), [(row.task_type,) for row in wholes], console)
    console.print(Text("\nWhat it is made of, and by model: aftercall trust TASK", "dim"))


def show_parts(found: Sequence[TrustRow], console: Console) -> None:
    """Print the score of a task type, its dimensions, and the scores of its models."""
    for row in found:
        if row.is_whole:
            _show_whole(row, console)
    groups = [row for row in found if not row.is_whole]
    if not groups:
        return
    console.print("\nBy model:")
    names = [(row.model or "", config_name(row.config)) for row in groups]
    _show_scores(groups, ("model", "config"), names, console)


def _show_scores(
    found: Sequence[TrustRow], titles: tuple[str, ...], names: Sequence[tuple[str, ...]], console: Console
) -> None:
    shown = found[:_SHOWN]
    columns = [
        Column("low", [_whole(row.score_low) for row in shown]),
        Column("score", [_whole(row.score) for row in shown]),
        Column("high", [_whole(row.score_high) for row in shown], least=60),
        Column("coverage", [f"{100 * row.coverage:.0f} %" for row in shown], least=60),
        Column("24 h", [_moved(row) for row in shown]),
        Column("mostly", [_mostly(row) for row in shown], least=100, left=True),
    ]
    if any(row.tier for row in shown):
        columns.insert(3, Column("tier", [printable(row.tier or "-") for row in shown], least=50, left=True))
    console.print(fitted(names[:_SHOWN], titles, columns, console.width))
    if len(found) > _SHOWN:
        console.print(f"and {len(found) - _SHOWN:,} more (--json has them all)")


def _show_whole(row: TrustRow, console: Console) -> None:
    name = printable(row.task_type)
    until = f"as of {moment(row.as_of)}"
    if row.score is None:
        console.print(Text(f"{name}: no evidence is left, {until}."))
        return
    tier = f", tier {printable(row.tier)}" if row.tier else ""
    between = f"{_whole(row.score_low)} to {_whole(row.score_high)}"
    console.print(Text(f"{name}: trust {_whole(row.score)} of 1,000 ({between}){tier}, {until}."))
    console.print(Text(f"Trust the lower end, {_whole(row.score_low)}. {_covered(row)}"))
    console.print()
    moves = {move["dimension"]: move for move in row.moved}
    parts = row.dimensions
    columns = [
        Column("weight", [f"{part['weight']:.2f}" for part in parts], least=60),
        Column("rate, %", [bare(part["rate"]) for part in parts]),
        Column("interval", [interval(part["low"], part["high"]) for part in parts], least=80),
        Column("checks", [f"{part['n']:,.0f}" for part in parts], least=50),
        Column("24 h", [_points(moves.get(part["dimension"])) for part in parts]),
        Column("mostly", [_rule(moves.get(part["dimension"])) for part in parts], least=100, left=True),
    ]
    console.print(fitted([(part["dimension"],) for part in parts], ("dimension",), columns, console.width))


def _covered(row: TrustRow) -> str:
    if not row.missing:
        return "All dimensions have evidence."
    return f"{100 * row.coverage:.0f} % of the weights have evidence; none: {', '.join(row.missing)}."


def _whole(score: float | None) -> str:
    return "-" if score is None else f"{score:.0f}"


def _moved(row: TrustRow) -> str:
    total = sum(move["points"] for move in row.moved)
    return f"{total:+.1f}" if abs(total) >= _SEEN else ""


def _mostly(row: TrustRow) -> str:
    if not row.moved or abs(row.moved[0]["points"]) < _SEEN:
        return ""
    first = row.moved[0]
    by = f", {printable(first['rule'])}" if first["rule"] else ""
    return f"{first['dimension']} {first['points']:+.1f}{by}"


def _points(move: dict[str, Any] | None) -> str:
    return "" if move is None or abs(move["points"]) < _SEEN else f"{move['points']:+.1f}"


def _rule(move: dict[str, Any] | None) -> str:
    return "" if move is None or not _points(move) else printable(move["rule"] or "")
