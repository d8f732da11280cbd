"""Prints figures and names as all reports do."""

from __future__ import annotations

from datetime import datetime

from aftercall.printable import printable
from aftercall.vocabulary import EVERY_TASK


def arm_name(model: str, config: str | None) -> str:
    """`model`, or `model/config` unless the config is the default; safe to print."""
    return printable(model if config in (None, "default") else f"{model}/{config}")


def scope_name(task: str, model: str | None, config: str | None) -> str:
    """The scope of an alert, in short.

    >>> scope_name("refund", "atlas", None), scope_name("*", None, "v2"), scope_name("refund", None, None)
    ('refund · atlas', 'all tasks · all models/v2', 'refund')
    """
    name = "all tasks" if task == EVERY_TASK else printable(task)
    if model is not None:
        return f"{name} · {arm_name(model, config)}"
    return name if config is None else f"{name} · all models/{printable(config)}"


def interval(low: float | None, high: float | None) -> str:
    """Two shares in percent, without the sign."""
    return "" if low is None or high is None else f"{100 * low:.1f}-{100 * high:.1f}"


def bare(share: float | None) -> str:
    """`percent` without its sign."""
    return "-" if share is None else f"{100 * share:.1f}"


def percent(share: float | None) -> str:
    """A share in percent; a dash for None."""
    return "-" if share is None else f"{100 * share:.1f} %"


def points(difference: float | None) -> str:
    """A difference of shares in points, with its sign; a dash for None."""
    return "-" if difference is None else f"{100 * difference:+.1f} points"


def moment(at: datetime) -> str:
    """A time to the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def counted(number: int, what: str) -> str:
    """A number of things.

    >>> counted(1, "alert"), counted(1234, "call")
    ('1 alert', '1,234 calls')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def wait_text(days: float | None) -> str:
    """How long something takes, in readable units: hours up to two days, otherwise days; None: over eight weeks.

    >>> wait_text(0.5), wait_text(11.6), wait_text(None)
    ('12 h', '12 days', '8 weeks')
    """
    if days is None:
        return "8 weeks"
    return f"{max(round(24 * days), 1)} h" if days <= 2 else f"{days:.0f} days"
