"""Says what a rule is worth: how much more often calls that violate it fail by what others say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from flows.contract_check.verdicts import KnownVerdict
from models.stats.intervals import newcombe

NARROW = 0.05
"""Where the difference is within this for certain, a rule says nothing about success."""
_State = Literal["worse", "nothing", "better", "not_enough"]


class Worth(NamedTuple):
    """Failures among answered calls that violate a rule and that keep it, and their difference with 95 %."""

    state: _State
    violating: tuple[int, int]
    """Failures and answered calls."""
    keeping: tuple[int, int]
    low: float | None
    high: float | None

    @property
    def words(self) -> str:
        """The same in plain words."""
        if not self.violating[1] or not self.keeping[1] or self.low is None or self.high is None:
            return "no answers about calls on both sides: what it is worth cannot be said"
        figures = f"{_share(self.violating)} of calls that violate it fail, against {_share(self.keeping)}"
        bounds = f"{100 * self.low:+.1f} to {100 * self.high:+.1f} points"
        return f"{figures} ({bounds}): {_MEANINGS[self.state]}"


_MEANINGS = {
    "worse": "calls that violate it fail more often",
    "better": "calls that violate it fail less often",
    "nothing": "says nothing about success",
    "not_enough": "too few answers to say",
}


def worth(failed: Iterable[str], passed: Iterable[str], known: dict[str, KnownVerdict]) -> Worth:
    """What a rule is worth.

    Calls count as independent here: where many share a session, the interval is too narrow.

    Args:
        failed: ids of calls that violate it.
        passed: ids of calls that keep it.
        known: verdicts without contracts.
    """
    violating, keeping = (_failures(ids, known) for ids in (failed, passed))
    if not violating[1] or not keeping[1]:
        return Worth("not_enough", violating, keeping, None, None)
    low, high = (float(bound) for bound in newcombe(*keeping, *violating))
    return Worth(_state(low, high), violating, keeping, low, high)


def _state(low: float, high: float) -> _State:
    if low > 0:
        return "worse"
    if high < 0:
        return "better"
    return "nothing" if low >= -NARROW and high <= NARROW else "not_enough"


def _failures(ids: Iterable[str], known: dict[str, KnownVerdict]) -> tuple[int, int]:
    answered = [known[one] for one in ids if one in known and known[one].is_answer]
    return sum(one.verdict == "failure" for one in answered), len(answered)


def _share(counts: tuple[int, int]) -> str:
    return f"{100 * counts[0] / counts[1]:.1f} %"
