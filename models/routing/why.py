"""Says in a sentence why the weights of a recommendation are as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from models.arrays import F64, Bools
from models.routing.arm_counts import Arm
from models.routing.facts import ArmFacts
from models.routing.limits import Excess
from models.routing.wanted import TaskRouting

_MOST = 5
"""Arms that are named of each kind."""


def arm_name(arm: Arm) -> str:
    """As people say it."""
    return arm[0] if arm[1] == "default" else f"{arm[0]}/{arm[1]}"


def share_text(share: float) -> str:
    """A probability in words a person trusts: never 0 % or 100 %."""
    if share > 0.99:
        return "over 99 %"
    return "under 1 %" if share < 0.01 else f"{100 * share:.0f} %"


class Why:
    """Takes in what was decided, and puts it into words; of segments only what is particular to them."""

    def __init__(self, names: Sequence[Arm], wanted: TaskRouting, min_evidence: int) -> None:
        self._names, self._wanted, self._min_evidence = names, wanted, min_evidence
        self._leader: int | None = None
        self._p_best = 0.0
        self._main = ""
        self._over: list[Excess | None] = []
        self._only: dict[str, str] = {}

    def pinned(self) -> None:
        """One arm gets every call."""
        assert self._wanted.pinned is not None  # noqa: S101 - the caller has looked
        self._main = f"{arm_name(self._wanted.pinned)} is pinned by configuration"

    def least_bad(self, segment: str | None, at: int, beyond: Excess | None) -> None:
        """No arm is within its limits."""
        words = "" if beyond is None else f" ({beyond.words})"
        text = f"every arm is over a limit, so the least bad gets all calls: {arm_name(self._names[at])}{words}"
        if segment is None:
            self._main = text
        else:
            self._only[segment] = f"every arm is over a limit, {arm_name(self._names[at])} least"

    def unknown(self, segment: str | None) -> None:
        """Too little evidence on all arms."""
        if segment is None:
            self._main = f"no arm has {self._min_evidence} resolved calls yet, so all are drawn alike"

    def over(self, segment: str | None, over: list[Excess | None]) -> None:
        """Some arms are over a limit, and others are not."""
        if segment is None:
            self._over = over

    def best(self, segment: str | None, share: F64, p_best: F64) -> None:
        """The greatest share leads."""
        leader = int(share.argmax())
        if segment is None:
            self._leader, self._p_best = leader, float(p_best[leader])
        elif leader != self._leader:
            self._only[segment] = f"{arm_name(self._names[leader])} ({share_text(float(p_best[leader]))})"

    def text(
        self,
        weights: Mapping[str | None, Mapping[Arm, float]],
        facts: Sequence[ArmFacts],
        worse: Collection[Arm],
        quiet: Bools,
        retired: Bools,
        denied: int,
    ) -> str:
        """One sentence, parts with semicolons between."""
        drawn = weights[None]
        parts = [self._main or self._of_leader(facts)]
        if self._only:
            parts.append("best where the segment is " + _some([f"{name}: {text}" for name, text in self._only.items()]))
        names = list(self._names)
        over = [f"{arm_name(names[at])} {found.words}" for at, found in enumerate(self._over) if found is not None]
        if over:
            parts.append("over a limit: " + _some(over))
        if quiet.any():
            held = [f"{arm_name(names[at])} ({100 * drawn[names[at]]:.0f} %)" for at in quiet.nonzero()[0].tolist()]
            parts.append("answered less than usual, so with no more weight than before: " + _some(held))
        if worse:
            some = [f"{arm_name(arm)} ({100 * drawn[arm]:.0f} %)" for arm in names if arm in worse]
            parts.append("degraded: " + _some(some))
        if retired.any():
            parts.append("not called any more: " + _some([arm_name(names[at]) for at in retired.nonzero()[0].tolist()]))
        parts += [f"{arm_name(names[at])} {fact.note}" for at, fact in enumerate(facts) if fact.note][:_MOST]
        if denied:
            parts.append("1 arm is not allowed" if denied == 1 else f"{denied:,} arms are not allowed")
        return "; ".join(parts)

    def _of_leader(self, facts: Sequence[ArmFacts]) -> str:
        assert self._leader is not None  # noqa: S101 - else another sentence stands
        fact, name = facts[self._leader], arm_name(self._names[self._leader])
        rate = 100 * fact.successes / max(fact.successes + fact.failures, 1e-9)
        best = "worth most" if self._wanted.value and fact.uses.cost_usd is not None else "best"
        cost = "" if best == "best" else f", at {fact.uses.cost_usd:,.3g} USD a call"
        return (
            f"{name} is {best} with probability {share_text(self._p_best)}: "
            f"{rate:.1f} % of {fact.n:,} recent outcomes succeed{cost}"
        )


def _some(names: list[str]) -> str:
    more = len(names) - _MOST
    return ", ".join(names[:_MOST]) + ("" if more <= 0 else f" and {more:,} more")
