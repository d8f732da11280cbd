"""What one statement says under the settings of its source, and the verdict that rests on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from aftercall.times import NEVER
from aftercall.vocabulary import CALL, DEFAULT_PASS_AT


@dataclass(frozen=True, slots=True)
class SourceRule:
    """How a score of one source becomes success: `score >= pass_at`, or `score < fail_at` where high is bad.

    Attributes:
        scale: the least and the greatest score, where these are not 0 and 1. All bounds lie on it.
        same_id: what a second record of an outcome id is: a "conflict", or an edition where the source "revises".
        abstain: scores from the first to the second, both included, say nothing.
        combine: what the opinions of several authors make: "newest", "majority", "mean", "all" or "any".
    """

    pass_at: float = DEFAULT_PASS_AT
    fail_at: float | None = None
    scale: tuple[float, float] | None = None
    same_id: str = "conflict"
    abstain: tuple[float, float] | None = None
    combine: str = "newest"

    @property
    def revises(self) -> bool:
        """Whether a record may be the next edition of an earlier one."""
        return self.same_id == "revises"

    def success(self, score: float | Fraction) -> bool | None:
        """Whether `score` passes; None where the source abstains. Exact for rational numbers too."""
        if self.abstain is not None and self.abstain[0] <= score <= self.abstain[1]:
            return None
        return score >= self.pass_at if self.fail_at is None else score < self.fail_at

    def scaled(self, score: float) -> float:
        """A score as one of 0 to 1, as it counts for means, quantiles and drift; without a scale, as it is."""
        if self.scale is None:
            return score
        low, high = self.scale
        return min(max((score - low) / (high - low), 0.0), 1.0)


@dataclass(frozen=True)
class VerdictRules:
    """The settings that decide verdicts. Sources not in `precedence` rank below it, newest first.

    `require`: sources that all must say success; the task type may have others.
    """

    precedence: tuple[str, ...] = (
        "human_review",
        "ticket_reopened",
        "downstream",
        "user_feedback",
        "contract",
        "judge",
    )
    sources: Mapping[str, SourceRule] = field(default_factory=dict)
    require: tuple[str, ...] = ()

    def rule(self, source: str | None) -> SourceRule:
        """The settings of a source."""
        return self.sources.get(source or "", _DEFAULT_RULE)

    def success(self, source: str | None, given: bool | None, score: float | None) -> bool | None:  # noqa: FBT001 (a field of the record)
        """The success that a statement asserts; None where it abstains, and for a retraction, which asserts nothing."""
        if given is not None:
            return given
        if score is None:
            return None
        return self.sources.get(source or "", _DEFAULT_RULE).success(score)

    def scaled(self, source: str | None, score: float | None) -> float | None:
        """A score as it counts for means, quantiles and drift."""
        return None if score is None else self.sources.get(source or "", _DEFAULT_RULE).scaled(score)

    def rank(self, source: str | None) -> int:
        """Place in the precedence, 0 the strongest; sources that are not listed share the last."""
        precedence = self.precedence
        return precedence.index(source) if source in precedence else len(precedence)

    @cached_property
    def special(self) -> frozenset[str]:
        """The sources whose opinion may be another than that of their newest statement."""
        return frozenset(
            name for name, rule in self.sources.items() if rule.abstain is not None or rule.combine != "newest"
        )

    @cached_property
    def revising(self) -> frozenset[str]:
        """The sources one of whose ids may have several records."""
        return frozenset(name for name, rule in self.sources.items() if rule.revises)


_DEFAULT_RULE = SourceRule()


class Statement(NamedTuple):
    """One outcome record in a ledger. `minute` is its effective minute; `given` the field `success` of the record.

    `edition` is its number among the records of its id, from 1, given as it enters a ledger; `scorer` decides nothing.
    The fields are those of the stored state, in order.
    """

    at: int
    outcome_id: str
    source: str | None
    given: bool | None
    score: float | None
    retract: bool
    retracts: str | None
    reason: str | None
    minute: int
    author: str | None = None
    edition: int = 1
    scorer: str | None = None

    @property
    def bare(self) -> bool:
        """Whether it says nothing, not even that it retracts. In a ledger there is none: there it is a retraction."""
        return not self.retract and self.given is None and self.score is None

    @property
    def place(self) -> tuple[int, str, int]:
        """Where it stands in the order of its ledger."""
        return self.at, self.outcome_id, self.edition

    def deciding(self) -> Deciding:
        """The fields in which a duplicate equals a record of its id that may be revised."""
        return (
            self.at, self.source, self.author, self.given, self.score, self.retract or self.bare, self.retracts
        )  # fmt: skip

    def says_the_same(self, other: Statement) -> bool:
        """Whether it equals another in all of these but the time, as where a sender takes that of each delivery."""
        return self.deciding()[1:] == other.deciding()[1:]


Deciding = tuple[int, str | None, str | None, bool | None, float | None, bool, str | None]


class Verdict(NamedTuple):
    """The result of a ledger, or the opinion of one source.

    Attributes:
        success: None is pending.
        statement: that it rests on; None with a success: the call's own error.
        decided_at: since when it is so, us; NEVER without a statement.
        score: the statement's, or of a combined source the share of success.
    """

    success: bool | None
    statement: Statement | None
    decided_at: int = NEVER
    score: float | None = None


UNDECIDED = Verdict(None, None)

End = tuple[bool | None, str | None]
"""The verdict at the end of a minute, and its source: `call` for the call's own error, None while pending."""
OPEN: End = (None, None)


def end_of(verdict: Verdict) -> End:
    """A verdict as the end of a minute."""
    success, statement, _, _ = verdict
    if success is None:
        return OPEN
    return success, CALL if statement is None else statement.source
