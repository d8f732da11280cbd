"""Turns what rules of contracts found into rows of the snapshot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aftercall.contracts.results import RESULTS
from flows.dataflow.snapshot_messages import Row
from models.join import Joined

_KEPT: Final = {"failed": ("fail", "error"), "all": RESULTS, "none": ()}


def check_rows(keep: str) -> Callable[[Joined], list[Row]]:
    """Builds the function that makes rows of the log `checks`; `keep` is the setting `snapshot.checks`."""
    kept = frozenset[str](_KEPT[keep])

    def rows(joined: Joined) -> list[Row]:
        return [
            (
                check.call_id,
                check.call_at,
                *check.group,
                check.contract,
                check.version,
                check.rule,
                check.type,
                check.severity,
                check.result,
                shown(check.actual),
                shown(check.threshold),
                check.details,
            )
            for check in joined.checks
            if check.result in kept
        ]

    return rows


def shown(value: float | str | None) -> str | None:
    """A number or a text as a text: 2000.0 as 2000.

    >>> shown(2000.0), shown(0.25), shown("v3"), shown(None)
    ('2000', '0.25', 'v3', None)
    """
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return None if value is None else str(value)
