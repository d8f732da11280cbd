"""Prints where calls should go."""

from __future__ import annotations

from typing import Final

from rich.console import Group
from rich.text import Text

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
    return Group(title, table)


def _state(status: str) -> Text:
    return Text(status.replace("_", " "), _COLOURS.get(status, "green"))
