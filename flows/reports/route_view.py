"""Prints where calls should go."""

from __future__ import annotations

from typing import Any, Final

from rich.console import Group
from rich.text import Text

from aftercall.printable import printable
from flows.reports.fitting import Column, config_name, fitted
from flows.reports.snapshot_reader import Route
from flows.reports.words import bare, moment

_COLOURS: Final = {
    "degraded": "red",
    "over_limit": "yellow",
    "silent": "yellow",
    "exploring": "cyan",
    "pinned": "magenta",
    "retired": "dim",
}


_WORTH_A_LINE: Final = 0.05
"""Of the weight that goes to other arms than for all calls."""
_MOST_LINES: Final = 8
_MOST_ARMS: Final = 3


def route_table(route: Route, width: int) -> Group:
    """Where traffic should go, the largest share first."""
    arms = sorted(route.arms, key=lambda arm: -arm["weight"])
    title = f"Where calls should go from {moment(route.issued_at)} until {moment(route.valid_until)}, in %"
    table = fitted(
        [(arm["model"], config_name(arm["config"])) for arm in arms],
        ("model", "config"),
        [
            Column("share", [bare(arm["weight"]) for arm in arms]),
            Column("success rate", [bare(arm["rate"]) for arm in arms], least=60),
            Column("outcomes", [f"{arm['n']:,}" for arm in arms], least=80),
            Column("state", [_state(arm["status"]) for arm in arms], left=True),
        ],
        width,
    )
    others = [_segment_line(one) for one in route.segments if _moved(one["arms"], route.arms) >= _WORTH_A_LINE]
    return Group(title, table, *others[:_MOST_LINES])


def _moved(arms: list[dict[str, Any]], others: list[dict[str, Any]]) -> float:
    """Total variation between two lists of arms."""
    weights, before = ({(arm["model"], arm["config"]): arm["weight"] for arm in one} for one in (arms, others))
    moved: float = sum(abs(weights.get(arm, 0.0) - before.get(arm, 0.0)) for arm in {*weights, *before}) / 2
    return moved


def _segment_line(one: dict[str, Any]) -> Text:
    heaviest = sorted(one["arms"], key=lambda arm: (-arm["weight"], arm["model"], arm["config"]))[:_MOST_ARMS]
    shares = ", ".join(
        f"{printable('/'.join(filter(None, (arm['model'], config_name(arm['config'])))))} {bare(arm['weight'])} %"
        for arm in heaviest
        if arm["weight"] > 0
    )
    return Text(f"Where the segment is {printable(one['segment'])}: {shares}")


def _state(status: str) -> Text:
    return Text(status.replace("_", " "), _COLOURS.get(status, "green"))
