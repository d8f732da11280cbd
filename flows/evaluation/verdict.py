"""Decides how a run of a suite ends: done, no, or not enough evidence."""

from __future__ import annotations

from typing import NamedTuple

from aftercall.errors import ExitCode
from aftercall.evals.results import EvalResult
from flows.reports.words import counted, percent


class Ending(NamedTuple):
    """The exit code, and why in one sentence; empty where nothing was asked for."""

    code: ExitCode
    reason: str = ""


def ending_of(result: EvalResult, min_pass_rate: float | None) -> Ending:
    """How a run without a baseline ends.

    Args:
        result: of all its cases.
        min_pass_rate: from 0 to 1; None: whatever it is. The interval around the pass rate changes nothing.
    """
    left = result.answers - result.errors
    if 2 * left < result.answers or result.pass_rate is None:
        return Ending(
            ExitCode.UNDECIDED, f"errors left {left:,} of {counted(result.answers, 'answer')}, fewer than half"
        )
    if min_pass_rate is None:
        return Ending(ExitCode.DONE)
    found = f"{_exact(result.pass_rate)}, and {_exact(min_pass_rate)} are required"
    if result.pass_rate < min_pass_rate:
        return Ending(ExitCode.NO, f"the pass rate is {found}")
    return Ending(ExitCode.DONE, f"the pass rate is {found}")


def _exact(share: float) -> str:
    """A share in percent, with the digits that it has: 89.96 % are not the 90 % that are required."""
    return percent(share) if abs(1000 * share - round(1000 * share)) < 1e-6 else f"{100 * share:.4g} %"
